"""Small projects of the build systems that sources are built with, packed as their publishers would."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

RECIPE = """\
[hardware]
    vm_id = sources
    os = debian-12
[config]
    [[sources]]
        [[[autohello]]]
            url = $URL/gone/autohello-1.0.tar.bz2, $URL/autohello-1.0.tar.bz2
            sha256 = $AUTOHELLO
            build = autotools
            build_needs = autoconf, readline
            options = --enable-greeting='auto tools'
            commands = autohello
            check = autohello | grep '^auto tools with readline'
        [[[cmakehello]]]
            file = cmakehello-1.0.zip
            prefix = /opt/cmakehello
            check = cmakehello | grep -x cmake
            commands = cmakehello
        [[[mesonhello]]]
            file = mesonhello-1.0.tar.xz
            check = mesonhello | grep -x meson
        [[[makehello]]]
            file = makehello-1.0.tar.gz
            patches = patched.patch
            units = makehello.service
            check = makehello | grep -x patched
        [[[pyhello]]]
            file = pyhello-1.0.tar.gz
            build = python
            check = pyhello | grep -x python
"""

FAMILY_RECIPE = """\
[hardware]
    vm_id = salve
    os = {system}
    base = {base}
[config]
    mirror = {mirror}
    [[sources]]
        [[[salve]]]
            file = salve-1.0.tar.gz
            script = '''sh build.sh'''
            build_packages = git, gcc, htop
            packages = greeter
            check = salve | grep -x Linux
"""
SALVE = {
    "build.sh": 'git --version\ngcc --version\ncp /bin/uname "$PREFIX/bin/salve"\n'
    'printf "#!/usr/bin/htop\\n" >"$PREFIX/bin/ave"\nchmod 755 "$PREFIX/bin/ave"\n'
}
"""Built with tools of the test distributions, none of which compiles. One of them interprets the script."""

C = '#include <stdio.h>\nint main(void) {{ puts("{0}"); return 0; }}\n'

AUTOTOOLS = {
    "configure.ac": "AC_INIT([autohello], [1.0])\nAM_INIT_AUTOMAKE([foreign])\nAC_PROG_CC\n"
    "AC_CHECK_LIB([readline], [readline], [], [AC_MSG_ERROR([no readline])])\n"
    'AC_ARG_ENABLE([greeting])\nAC_DEFINE_UNQUOTED([GREETING], ["$enable_greeting"], [What it says.])\n'
    "AC_CONFIG_FILES([Makefile])\nAC_OUTPUT\n",
    "Makefile.am": "bin_PROGRAMS = autohello\nautohello_SOURCES = main.c\n",
    "main.c": "#include <stdio.h>\n#include <readline/readline.h>\n"
    'int main(void) { printf("%s with readline %s\\n", GREETING, rl_library_version); return 0; }\n',
}
"""Links with a library that no base system holds. Without a configure script: autoreconf makes it."""

CMAKE = {
    "CMakeLists.txt": "cmake_minimum_required(VERSION 3.13)\nproject(cmakehello C)\n"
    "add_library(cmakehello SHARED lib.c)\nadd_executable(cmakehello-program main.c)\n"
    "set_target_properties(cmakehello-program PROPERTIES OUTPUT_NAME cmakehello)\n"
    "target_link_libraries(cmakehello-program cmakehello)\n"
    "install(TARGETS cmakehello cmakehello-program LIBRARY DESTINATION lib RUNTIME DESTINATION bin)\n",
    "lib.c": '#include <stdio.h>\nvoid hello(void) { puts("cmake"); }\n',
    "main.c": "void hello(void);\nint main(void) { hello(); return 0; }\n",
}
"""A program with a shared library of its own."""

MESON = {
    "meson.build": "project('mesonhello', 'c')\nexecutable('mesonhello', 'main.c', install : true)\n",
    "main.c": C.format("meson"),
}

MAKE = {
    "Makefile": "makehello: main.c\n\t$(CC) -g -o $@ main.c\n"
    "install: makehello\n\tinstall -D makehello $(DESTDIR)$(PREFIX)/bin/makehello\n"
    "\tinstall -D -m 0644 makehello.service $(DESTDIR)$(PREFIX)/lib/systemd/system/makehello.service\n",
    "main.c": C.format("unpatched"),
    "makehello.service": "[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n",
}
MAKE_PATCH = (
    "--- a/main.c\n+++ b/main.c\n@@ -1,2 +1,2 @@\n #include <stdio.h>\n"
    '-int main(void) { puts("unpatched"); return 0; }\n+int main(void) { puts("patched"); return 0; }\n'
)

PYTHON = {
    "pyproject.toml": '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
    '[project]\nname = "pyhello"\nversion = "1.0"\n[project.scripts]\npyhello = "pyhello:main"\n',
    "pyhello/__init__.py": "import json\n\n\ndef main():\n    print(json.loads('\"python\"'))\n",
}


LIBDAQ = {
    "configure.ac": "AC_INIT([libdaq], [3.0.21])\nAM_INIT_AUTOMAKE([foreign])\nAM_PROG_AR\nAC_PROG_CC\nLT_INIT\n"
    "AC_CHECK_LIB([pcap], [pcap_lib_version], [], [AC_MSG_ERROR([no pcap])])\n"
    "AC_CONFIG_FILES([Makefile libdaq.pc])\nAC_OUTPUT\n",
    "Makefile.am": "lib_LTLIBRARIES = libdaq.la\nlibdaq_la_SOURCES = daq.c\nlibdaq_la_LDFLAGS = -version-info 3:0:0\n"
    "include_HEADERS = daq.h\npkgconfigdir = $(libdir)/pkgconfig\npkgconfig_DATA = libdaq.pc\n",
    "libdaq.pc.in": "prefix=@prefix@\nexec_prefix=@exec_prefix@\nlibdir=@libdir@\nincludedir=@includedir@\n"
    "Name: libdaq\nDescription: x\nVersion: @VERSION@\nLibs: -L${libdir} -ldaq\nCflags: -I${includedir}\n",
    "daq.h": "const char *daq_says(void);\n",
    "daq.c": '#include <pcap/pcap.h>\n#include "daq.h"\nconst char *daq_says(void) { return pcap_lib_version(); }\n',
}
"""A library in the place of the real one: built as that is, and what it is built with is used."""

SNORT = {
    "CMakeLists.txt": "cmake_minimum_required(VERSION 3.13)\nproject(snort C CXX)\n"
    "find_package(PkgConfig REQUIRED)\npkg_check_modules(DAQ REQUIRED IMPORTED_TARGET libdaq>=3.0.5)\n"
    "pkg_check_modules(ALL REQUIRED IMPORTED_TARGET hwloc luajit openssl libpcap libpcre2-8 liblzma zlib)\n"
    "find_program(FLEX NAMES flex REQUIRED)\n"
    "foreach(header dumbnet.h FlexLexer.h)\nfind_path(HAS_${header} ${header})\nif(NOT HAS_${header})\n"
    'message(FATAL_ERROR "no ${header}")\nendif()\nendforeach()\n'
    "add_executable(snort main.cc)\ntarget_link_libraries(snort PkgConfig::DAQ PkgConfig::ALL dumbnet)\n"
    "install(TARGETS snort RUNTIME DESTINATION bin)\n",
    "main.cc": '#include <cstdio>\n#include <dumbnet.h>\n#include <hwloc.h>\nextern "C" {\n#include <daq.h>\n}\n'
    "int main() {\nhwloc_topology_t all;\nstruct addr any = {};\nhwloc_topology_init(&all);\naddr_ntoa(&any);\n"
    "puts(daq_says());\n}\n",
}
"""A program in the place of the real one, which wants that library and what the catalogue says snort is built with."""


def eclipse() -> dict[str, str | bytes]:
    """What its makers' archive is like: a program, which is another's here, with what strip(1) would take off."""
    return {"eclipse": Path("/bin/true").read_bytes() + b"SYMBOLS", "icon.xpm": "/* XPM */", "plugins/a.jar": "a"}


WANTED_RECIPE = """\
[hardware]
    vm_id = wanted
    os = debian-12
[devel]
    eclipse = 1
[services]
    snort = 1
[config]
    catalogue = own.ini
    [[sources]]
        [[[own]]]
            file = served/eclipse.tar.gz
            prefix = /opt/own
            script = '''mkdir -p "$PREFIX/lib/pkgconfig"
printf 'Name: own\\nDescription: x\\nVersion: 1\\n' >"$PREFIX/lib/pkgconfig/own.pc"'''
            check = test -e /opt/own/lib/pkgconfig/own.pc
        [[[finder]]]
            file = served/eclipse.tar.gz
            prefix = /opt/own
            script = '''pkg-config --modversion own >"$PREFIX/found"'''
            build_needs = pkg-config
            check = grep -x 1 /opt/own/found
"""
WANTED_CATALOGUE = """\
[eclipse]
    source.linux-amd64 = $URL/eclipse.tar.gz
    source_sha256.linux-amd64 = $ECLIPSE
[libdaq]
    source.linux = $URL/libdaq.tar.gz
    source_sha256.linux = $LIBDAQ
[snort]
    source.linux = $URL/snort.tar.gz
    source_sha256.linux = $SNORT
"""
"""All else is as the tool's catalogue has it."""


def tarball(goal: Path, top: str, files: Mapping[str, str | bytes]) -> Path:
    """A tar below one folder, compressed as its name's ending says; bytes are a program."""
    mode = f"w:{goal.suffix[1:]}" if goal.suffix in (".gz", ".xz", ".bz2") else "w"
    with tarfile.open(goal, mode) as tar:
        for name, text in files.items():
            info = tarfile.TarInfo(f"{top}/{name}")
            data = text.encode() if isinstance(text, str) else text
            info.size, info.mode = len(data), 0o644 if isinstance(text, str) else 0o755
            tar.addfile(info, io.BytesIO(data))
    return goal


def zipped(goal: Path, top: str, files: Mapping[str, str]) -> Path:
    with zipfile.ZipFile(goal, "w") as archive:
        for name, text in files.items():
            archive.writestr(f"{top}/{name}", text)
    return goal
