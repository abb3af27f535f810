# make image: set up this host, build the lab machine, prove that it boots.  make test: all checks and tests.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON := /usr/bin/python3
# Without it each of the thousands of processes that the tests start compiles the package anew.
unexport PYTHONDONTWRITEBYTECODE
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
RECIPE := recipes/lab.ini
OUTPUT := output
UNIT_PACKAGES := shellcheck dash iptables fdisk e2fsprogs qemu-utils btrfs-progs dosfstools mtools ntfs-3g xfsprogs \
    libvmdk-utils libxml2-utils p7zip-full python3-libvmdk openssh-server gnupg gpgv util-linux grub-common git rsync \
    qemu-user-static squashfs-tools squashfs-tools-ng lz4 bzip2 openssl libcap2-bin wget libosinfo-bin osinfo-db \
    xorriso genisoimage bmap-tools grub-pc-bin grub-efi-amd64-bin minisign openssh-client zsh fish man-db mandoc
TEST_PACKAGES := $(UNIT_PACKAGES) qemu-system-x86 ovmf seabios ipxe-qemu virt-v2v \
    libvirt-clients libvirt-daemon libvirt-daemon-driver-qemu libvirt-daemon-config-network virtinst \
    golang-go golang-github-vmware-govmomi-dev skopeo umoci wine wine64 gcc-mingw-w64-x86-64-win32 cpio kmod \
    build-essential debhelper dh-python python3-pip \
    dnf zypper pacman-package-manager arch-install-scripts makepkg systemd-container podman runc \
    vagrant xvfb x11-utils tigervnc-viewer tmux

# What a build needs: a program or file (- for none to be looked for), Debian's package that brings it, and why.
define NEEDS
python3 python3-venv runs vmgen-build, in an environment of its own
- ca-certificates trusts package archives that speak https
/usr/share/keyrings/debian-archive-keyring.gpg debian-archive-keyring checks what a Debian base is made of
gpgv gpgv checks who signed a package archive
mmdebstrap mmdebstrap makes a Debian base
lxc-start lxc runs the containers of a build, and boots its image
tar tar packs the image
gzip gzip compresses it
zstd zstd compresses it
xz xz-utils compresses it
dnsmasq dnsmasq-base gives addresses to an image that is verified
ip iproute2 makes the network that an image is verified in
endef
export NEEDS

HAS_APT := command -v apt-get >/dev/null && command -v dpkg-query >/dev/null

# install_missing PACKAGES: apt-get installs those that are not there; says what to do where it is not root.
define install_missing
missing=(); for package in $(1); do \
	    state=$$(dpkg-query -W -f '$${db:Status-Status}' $$package 2>/dev/null || true); \
	    [[ $$state == installed ]] || missing+=($$package); \
	done; \
	if (($${#missing[@]})); then \
	    if (( EUID )); then \
	        echo "missing: $${missing[*]}; run as root: apt-get update && apt-get install -y $${missing[*]}" >&2; exit 1; \
	    fi; \
	    export DEBIAN_FRONTEND=noninteractive; \
	    install=(apt-get install -y --no-install-recommends -o DPkg::Lock::Timeout=120 "$${missing[@]}"); \
	    echo "installing $${missing[*]}"; \
	    "$${install[@]}" >/dev/null 2>&1 </dev/null || { apt-get update -q </dev/null && "$${install[@]}" </dev/null; }; \
	fi
endef

# empty FOLDER: removes all in it but the line that says what it is for.
define empty
	if [[ -d $(1) ]]; then find $(1) -mindepth 1 -maxdepth 1 ! -name README.md -exec rm -rf {} +; fi
endef

# list_missing: what a host without apt-get lacks, as a list; nothing where all is there.
define list_missing
missing=; while read -r what package why; do \
	    PATH=$$PATH:/usr/sbin:/sbin; [[ $$what == - || -e $$what ]] || command -v "$$what" >/dev/null || \
	        printf -v missing '%s  %-46s  %-22s  %s\n' "$$missing" "$$what" "$$package" "$$why"; \
	done <<<"$$NEEDS"; \
	if [[ $$missing ]]; then \
	    echo "This host has no apt-get, so make installs nothing here. A build needs, and this host lacks:"; \
	    printf '  %-46s  %-22s  %s\n%s' 'program or file' "Debian's package" why "$$missing"; \
	    echo "Get them by this host's package manager, or build on Debian 12 or 13: docs/hosts.md says how."; exit 1; \
	fi >&2
endef

.PHONY: help setup image check lint unit integration base fuzz
.PHONY: containers machines formats nodes hosts distros builds servers windows
.PHONY: test
.PHONY: chaos consumers limits man install uninstall deb clean distclean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: host-packages $(STAMP) ## install what is needed: Debian packages, then .venv

.PHONY: host-packages unit-packages test-packages
host-packages:
	@if $(HAS_APT); then $(call install_missing,$$(cut -d ' ' -f 2 <<<"$$NEEDS")); else $(list_missing); fi

unit-packages: PACKAGES = $(UNIT_PACKAGES)
test-packages: PACKAGES = $(TEST_PACKAGES)
unit-packages test-packages:
	@if $(HAS_APT); then $(call install_missing,$(PACKAGES)); \
	else echo "This host has no apt-get. The tests need what these packages of Debian hold: $(PACKAGES)" >&2; fi

# Made anew each time: folders that an earlier installation left would hide the package.
$(STAMP): pyproject.toml setup.cfg setup.py | host-packages
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]' </dev/null
	touch $@

image: setup ## build recipes/lab.ini into output/ and prove that it boots
	$(BIN)/vmgen-build $(RECIPE) --output $(OUTPUT)
	$(BIN)/vmgen-build verify "$$(ls -t $(OUTPUT)/lab-lxc-*.tar.zst | head -n 1)"

lint: setup ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

check: lint unit ## what needs no container: style, types, unit tests

unit: setup unit-packages ## tests that need no container
	$(BIN)/pytest -q -n 2 tests/unit tests/fuzz

integration: setup test-packages base ## tests that build and boot real containers and machines; root
	VMGEN_TEST_TURN=$(TURN) $(MAKE) --no-print-directory --jobs=5 --keep-going --output-sync=target $(GROUPS_OF_TESTS)

# What most tests begin with is made once: a cache of theirs that is empty begins with it.
base: | setup test-packages
	@out=$$(mktemp -d); trap 'rm -rf "$$out"' EXIT; echo "making the base of the tests"; \
	    $(BIN)/vmgen-build -q --cache .testcache/base --compression none -o "$$out" tests/integration/recipes/plain.ini >/dev/null

# Run side by side, each with a cache of its own: many of these tests wait for something to boot. The longest go first,
# and are given more than the others: an emulated processor that gets its share boots in time. On a busy machine a boot
# can come too late for its test: what fails is run once more, and named at the end (RERUN); what fails twice has failed.
# Some of them take minutes for one more way to what others show too: a commit has the turn of a sixth of those
# (tests/conftest.py), by its name. `make test TURN=all` runs all, and so does a group by itself.
TURN := $(shell echo $$((0x0$$(git rev-parse --short=7 HEAD 2>/dev/null))))
TWICE := -raR --reruns 1 --rerun-show-tracebacks
GROUPS_OF_TESTS := machines servers windows formats distros hosts builds nodes containers
$(GROUPS_OF_TESTS): GROUP = integration and $(@:s=)
windows: GROUP = integration and windows
containers: GROUP = integration and not (machine or server or windows or format or distro or host or build or node)
servers distros hosts builds nodes containers: NICE := nice -n 5
$(GROUPS_OF_TESTS): | setup test-packages
	VMGEN_TEST_CACHE=.testcache/$@ $(NICE) $(BIN)/pytest -q $(TWICE) --durations=10 -m '$(GROUP)' tests/integration

FUZZ_SECONDS := 3600

fuzz: | setup ## look for input that breaks a reader of foreign data: FUZZ_SECONDS for each, an hour by default
	FUZZ_SECONDS=$(FUZZ_SECONDS) $(BIN)/pytest -q -n 2 tests/fuzz

test: setup test-packages ## lint and all tests
	$(MAKE) --no-print-directory --jobs=2 --output-sync=target lint base
	$(MAKE) --no-print-directory unit integration

RUNS := 500
SEED :=
ONLY :=
chaos: setup test-packages ## RUNS builds that are killed, starved or lied to, and what they leave; SEED and ONLY repeat one; root
	$(BIN)/python -m tests.chaos --runs $(RUNS) $(if $(SEED),--seed $(SEED)) $(if $(ONLY),--only $(ONLY))

CONSUMERS :=
consumers: setup test-packages base ## give the images to VirtualBox and others; docs/formats.md gets what came of it; root
	$(BIN)/python -m tests.consumers $(CONSUMERS) --write docs/formats.md

limits: setup ## write the table of limits into docs/security.md
	$(BIN)/python -c 'import pathlib, re; from vmgen_build import limits; page = pathlib.Path("docs/security.md"); \
	    head, tail = "<!-- limits -->\n", "\n<!-- end of limits -->"; text = page.read_text(); \
	    page.write_text(text.split(head)[0] + head + limits.table() + tail + text.split(tail.strip())[1])'

MANUAL := build/man
man: setup ## write the manual pages into build/man
	mkdir -p $(MANUAL) && $(BIN)/python -m vmgen_build.cli.manpage $(MANUAL)

# For packagers, DESTDIR is a folder that stands for /. The commands are links to this checkout's .venv.
PREFIX := /usr/local
DESTDIR :=
COMMANDS := vmgen-build $(if $(wildcard vmgen_build/cli/vmgctl.py),vmgctl)
SHARE = $(DESTDIR)$(PREFIX)/share
SHELLS := vmgen_build/cli/shells
INSTALLED = $(foreach name,$(COMMANDS),$(DESTDIR)$(PREFIX)/bin/$(name) $(SHARE)/man/man1/$(name).1 \
    $(SHARE)/bash-completion/completions/$(name) $(SHARE)/fish/vendor_completions.d/$(name).fish) \
    $(SHARE)/zsh/site-functions/_vmgen-build

install: man ## put links to the commands, completion and manual pages below PREFIX (/usr/local)
	for name in $(COMMANDS); do \
	    install -d $(DESTDIR)$(PREFIX)/bin; ln -sfn "$(CURDIR)/$(BIN)/$$name" $(DESTDIR)$(PREFIX)/bin/$$name; \
	    install -D -m 644 -t $(SHARE)/man/man1 $(MANUAL)/$$name.1; \
	    install -D -m 644 $(SHELLS)/bash $(SHARE)/bash-completion/completions/$$name; \
	    install -D -m 644 $(SHELLS)/fish $(SHARE)/fish/vendor_completions.d/$$name.fish; \
	done
	install -D -m 644 $(SHELLS)/zsh $(SHARE)/zsh/site-functions/_vmgen-build

uninstall: ## remove what make install has put there
	rm -f $(INSTALLED)

deb: ## build the Debian package into ../, and have lintian read it; asks PyPI
	dpkg-buildpackage -us -uc
	lintian --allow-root --fail-on error,warning ../vmgen-build_*.changes

DOCS := $(VENV)/.docs
$(DOCS): $(STAMP)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[docs]' </dev/null
	touch $@

.PHONY: docs picture
docs: setup $(DOCS) ## the documentation as a site, into site/; its links are checked
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "site/index.html; with search: python3 -m http.server -d site"

picture: setup ## draw the pictures of docs/: the house, and the terminal of a real build; root
	$(BIN)/python -m docs.tools.house docs/house.svg
	$(BIN)/python -m docs.tools.picture docs/build.svg

clean: ## remove what was built, and caches of tools; the cache of builds stays
	$(call empty,$(OUTPUT))
	rm -rf build dist site *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -path ./$(VENV) -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean ## remove .venv and the cache of builds too
	$(call empty,cache)
	rm -rf $(VENV) .testcache
