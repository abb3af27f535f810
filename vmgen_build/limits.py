"""How much foreign data may be: one line for each limit, named, so that a message and docs/security.md can name it.

A reader that meets more raises what `Limit.exceeded` says, with its own kind of error.
"""

from __future__ import annotations

from dataclasses import dataclass

from vmgen_build.text import duration, size

KB, MB, GB = 10**3, 10**6, 10**9


@dataclass(frozen=True, slots=True)
class Limit:
    """name: for the message. of: what is limited. amount: of unit "B" (bytes), "s" (seconds), or a plural noun."""

    name: str
    of: str
    amount: int
    unit: str = "B"

    @property
    def shown(self) -> str:
        """The amount with its unit: "64 kB", "2 min 00 s", "100 levels"."""
        if self.unit == "B":
            return size(self.amount)
        return duration(self.amount) if self.unit == "s" else f"{self.amount:,} {self.unit}"

    @property
    def exceeded(self) -> str:
        """For a message: "it is more than the limit 'manifest' allows (16 MB; docs/security.md)"."""
        return f"it is more than the limit '{self.name}' allows ({self.shown}; docs/security.md)"


# What reads any file below a foreign tree.

TREE_FILE = Limit("tree-file", "a small file read from an unpacked image or a guest's root", 4 * MB)

# Artifacts and their manifests.

MANIFEST = Limit("manifest", "a manifest", 16 * MB)
SIGNATURE = Limit("signature", "the signature of a manifest or of SHA256SUMS", 64 * KB)
KEYRING = Limit("keyring", "a file of public keys that signatures are checked by", 64 * MB)
MANIFEST_ENTRIES = Limit(
    "manifest-entries", "packages, steps, warnings and the like in a manifest, of each kind", 50_000, "entries"
)
MANIFEST_FILES = Limit("manifest-files", "files and build recipes that a manifest names", 256, "entries")
GUEST_PACKAGES = Limit("guest-packages", "what a guest says of its packages at a build's end", 64 * MB)
PROBES = Limit("probes", "probes in a manifest", 5_000, "entries")
PROBE_SCRIPT = Limit("probe-script", "a probe's script, and the answer that it expects", 256 * KB)
PROBE_RETRY = Limit("probe-retry", "how long a probe that fails is asked again", 600, "s")
TAR_ENTRIES = Limit("tar-entries", "entries of a tar archive that is read here", 2_000_000, "entries")
TAR_HEADER = Limit("tar-header", "an extended header of a tar archive: pax, or a long name", 64 * KB)
TAR_CONTENT = Limit("tar-content", "files of a tar archive that is read here, in sum", 256 * GB)
LISTED_FILES = Limit(
    "listed-files", "files of an image that are listed, or compared with another's", 1_000_000, "entries"
)
LISTED_NAMES = Limit("listed-names", "their names, in sum", 256 * MB)
LISTED_TEXTS = Limit("listed-texts", "files of an image that are read to tell of it, in sum", 256 * MB)
PACKAGE_LIST = Limit("package-list", "the list of packages that a root keeps, read from its image", 64 * MB)
OVA_FILES = Limit("ova-files", "files in an OVA", 256, "files")
BOX_FILES = Limit("box-files", "files in a box of Vagrant", 256, "files")
OVA_TEXT = Limit("ova-text", "an OVA's descriptor or list of digests", 4 * MB)
BUNDLE_TEXT = Limit("bundle-text", "a file of a bundle for OpenVZ, but for its OS template", 1 * MB)
XML_DEPTH = Limit("xml-depth", "elements within elements of an OVF descriptor", 32, "levels")
XML_ELEMENTS = Limit("xml-elements", "elements of an OVF descriptor", 5_000, "elements")
XML_ATTRIBUTES = Limit("xml-attributes", "attributes of an OVF descriptor, of all elements", 20_000, "attributes")
XML_NAME = Limit("xml-name", "a name in an OVF descriptor with its namespace's address", 1_000, "characters")
XML_TAG = Limit("xml-tag", "a tag or a comment of an OVF descriptor", 64 * KB)
FINDINGS = Limit("findings", "what is found wrong with one file, and still listed", 100, "findings")
DISK_CONTENT = Limit("disk-content", "what a disk of an OVA or a VMDK holds, zeros left out", 1_000 * GB)
JSON_DEPTH = Limit("json-depth", "brackets within brackets in JSON", 64, "levels")
JSON_DIGITS = Limit("json-digits", "a whole number in JSON", 20, "digits")

# Machines and disks.

MACHINE_TEXT = Limit("machine", "a machine's description in a manifest", 1_000_000, "characters")
DRIVES = Limit("drives", "a machine's hard disks, and its CD drives", 256, "drives")
VOLUMES = Limit("volumes", "a disk's partitions; file systems of all disks that are read together", 128, "partitions")
NICS = Limit("adapters", "a machine's network adapters", 32, "adapters")
DISK_SIZE = Limit("disk-size", "a virtual disk in a foreign image", 64 * 10**12)
IMAGE_SNAPSHOTS = Limit("image-snapshots", "a qcow2 image's snapshots", 256, "snapshots")
VMDK_DESCRIPTOR = Limit("vmdk-descriptor", "the descriptor within a VMDK", MB)
VMA_HEADER = Limit("vma-header", "the header of an archive for Proxmox VE", 4 * MB)
NVRAM = Limit("nvram", "a machine's nvram, as a server or an OVA has it", 8 * MB)
BOOT_LOADER = Limit("boot-loader", "a file of the boot loader, read from a guest's root", 4 * MB)
MEDIUM_FOLDER = Limit("medium-folder", "a folder of a CD that is read", 4 * MB)
WIM_TEXT = Limit("wim-text", "what a medium of Windows says of its images", 16 * MB)
READER_TIME = Limit("reader-time", "a program that reads a foreign disk", 3600, "s")
DISK_RESERVE = Limit("disk-reserve", "what stays free, or 5% of it, of a disk that a foreign disk is unpacked on", GB)
READER_MEMORY = Limit("reader-memory", "a program that reads a foreign disk: its address space", 8 * GB)
READER_OUTPUT = Limit("reader-output", "what a program that reads a foreign disk prints", 16 * MB)

# Recipes, templates and other texts.

RECIPE = Limit("recipe", "a recipe, a profile, or a file of programs of its own", 2 * MB)
RECIPE_LINES = Limit("recipe-lines", "lines of such a file, and so its options and sections", 50_000, "lines")
RECIPE_DEPTH = Limit("recipe-depth", "sections within sections of a recipe", 16, "levels")
RECIPE_FILES = Limit(
    "recipe-files",
    "files that make up a recipe: profiles, those that they take in, and programs of its own",
    64,
    "files",
)
SCRIPT_FILE = Limit("script-file", "a script that a recipe names", 16 * MB)
REPOSITORY_FILE = Limit("repository-file", "a repository's file that a recipe names", 1 * MB)
KEY_FILE = Limit("key-file", "a repository's key that a recipe names", 1 * MB)
SECRET_FILE = Limit("secret-file", "a file that holds a password or public keys", 64 * KB)
TEMPLATE = Limit("template", "a template of a recipe's own", 1 * MB)
CHECK_TIME = Limit("check-time", "processor time that checking or compiling a recipe takes", 120, "s")
CHECK_MEMORY = Limit("check-memory", "memory that checking or compiling a recipe takes", 1_100 * MB)
SUMS = Limit("sums", "a SHA256SUMS file", 16 * MB)
PLAN = Limit("plan", "the plan.json of an earlier export", 64 * MB)

# A booted image, its probes and its console.

CONSOLE = Limit("console", "what a booted machine shows on its console", 16 * MB)
MACHINE_LINE = Limit("machine-line", "a line of a booted machine's answers, in base64", 16 * MB)
UNPACKED = Limit(
    "image-unpacked",
    "a container's image, unpacked, and each file of it; what a machine writes to disk",
    64 * GB,
)
UNPACKED_ENTRIES = Limit("image-entries", "files, links and folders of an image", 2_000_000, "entries")
IMAGE_IDS = Limit("image-ids", "users and groups of a container's image: their numbers, from 0 on", 1 << 24, "numbers")
UNPACK_MEMORY = Limit("unpack-memory", "memory of each program that unpacks an image", 2 * GB)
UNPACK_TIME = Limit("unpack-time", "the unpacking of an image", 3600, "s")
GUEST_MEMORY = Limit("guest-memory", "memory of a booted container; never more than half of what is available", 16 * GB)
GUEST_PROCESSES = Limit("guest-processes", "processes and threads of a booted container", 4096, "processes")
GUEST_TIME = Limit("guest-time", "how long a booted machine runs and is asked, be it a container or in QEMU", 3600, "s")
GUEST_ADDRESSES = Limit(
    "guest-addresses", "addresses of an interface of a booted machine, and its gateways", 64, "addresses"
)
GUEST_LINKS = Limit("guest-links", "interfaces of a booted machine, and its default routes", 1024, "entries")
GUEST_FILE = Limit("guest-file", "a file that is fetched from a machine in which a plan runs", 4 * GB)
WINDOWS_OUTPUT = Limit("windows-output", "what a step prints in Windows and is brought home", 64 * MB)
WINDOWS_ANSWERS = Limit("windows-answers", "what a Windows answers to all probes together", 16 * MB)
IP_ANSWER = Limit("ip-answer", "what ip says of a booted machine's network", 4 * MB)
GUEST_CONSOLE = Limit("guest-console", "what is kept of a booted container's console", MB)
ANSWER = Limit("answer", "what a probe, or another question to a booted container, prints", MB)

# Nodes, ssh and other machines' answers.

SSH_PACKET = Limit("ssh-packet", "one packet of an ssh server", 256 * KB + 1 * KB)
SSH_WINDOW = Limit("ssh-window", "what an ssh server sends on one channel before it is read", 10 * MB)
NODE_PREAMBLE = Limit("node-preamble", "what a node writes before the output of a command", 64 * KB)
NODE_LINE = Limit("node-line", "one line of an answer of a node's guardian", 4_000, "characters")
NODE_ANSWERS = Limit("node-answers", "the lines of one answer of a node", 10_000, "lines")
NODE_FILE = Limit("node-file", "a file that a node is asked for, such as its certificates", 4 * MB)
NODE_OUTPUT = Limit("node-output", "what one command writes on a node", 1 * GB)
NODE_COMMAND = Limit("node-command", "one command of the tool's own on a node", 3600, "s")
NODE_TRANSFER = Limit("node-transfer", "packing an OS template on a node, or sending one there", 6 * 3600, "s")
NODE_SILENCE = Limit("node-silence", "how long a stream from a node may give nothing", 300, "s")
NODE_RATE = Limit("node-rate", "what a stream from a node must give a second, over the time of node-silence", 1000)
ROOT_BYTES = Limit("root-bytes", "the files of a root that comes home from a node", 64 * GB)
ROOT_ENTRIES = Limit("root-entries", "their number", 2_000_000, "entries")
ROOT_NAMES = Limit("root-names", "all their names and the targets of links", 512 * MB)
ROOT_DEPTH = Limit("root-depth", "how deep they lie, and the files of an image that are listed", 200, "levels")
ROOT_HEADER = Limit("root-header", "one header of the tar that they come in", 1 * MB)
ROOT_TIME = Limit("root-time", "how long they may take to come", 6 * 3600, "s")
ROOT_ROOM = Limit("root-room", "at least, not at most: what stays free on the disk while they are unpacked", 256 * MB)

# vSphere servers.

VSPHERE_ANSWER = Limit("vsphere-answer", "one answer of a vSphere server", 256 * MB)
VSPHERE_SILENCE = Limit("vsphere-silence", "how long an answer of a vSphere server may give nothing", 120, "s")
VSPHERE_OBJECTS = Limit(
    "vsphere-objects", "machines, folders, hosts and the like of a vSphere server", 100_000, "objects"
)
VSPHERE_SNAPSHOTS = Limit("vsphere-snapshots", "snapshots of one of its machines", 1_000, "snapshots")
VSPHERE_TASK = Limit("vsphere-task", "how long a task of a vSphere server may tell of no progress", 1800, "s")
VSPHERE_BOOT = Limit("vsphere-boot", "how long a machine there may take until its VMware Tools take orders", 900, "s")
VSPHERE_LOGIN = Limit("vsphere-login", "how long a machine there that is up may refuse the build's login", 60, "s")
VSPHERE_REST = Limit("vsphere-rest", "one answer of its REST interface", 4 * MB)
VSPHERE_MARK = Limit("vsphere-mark", "what the annotation of a machine of a build says", 64 * KB)
VSPHERE_PICTURE = Limit("vsphere-picture", "a picture of the screen of one of its machines", 64 * MB)

# Package archives and downloads.

RELEASE = Limit("release", "an archive's Release file, or its signature", 10 * MB)
PACKAGE = Limit("package", "a package that a guest downloaded, and other builds get", 8 * GB)
DATABASE = Limit("database", "a database of a pacman repository", 64 * MB)
INDEX_TEXT = Limit("index-text", "an index of packages, decompressed", 512 * MB)
RELEASE_TIME = Limit("release-time", "fetching one Release file, with all tries", 180, "s")
RELEASE_AHEAD = Limit("release-ahead", "how far a Release file's date may lie ahead of this host's clock", 86400, "s")
RELEASE_BEHIND = Limit("release-behind", "how far it may lie behind the newest seen at its address", 86400, "s")
REDIRECTS = Limit("redirects", "the addresses that a server may send a download on to", 5, "redirects")
DOWNLOAD = Limit("download", "an OS template or another large file that is downloaded", 64 * GB)

IMAGE_INDEX = Limit("image-index", "an index of an image server, or its list of products", 64 * MB)
IMAGE_STREAMS = Limit("image-streams", "lists of products that an image server's index names", 32, "lists")
IMAGE_PRODUCTS = Limit("image-products", "products in a list, versions of one, files of a version", 20_000, "entries")
OCI_TEXT = Limit("oci-text", "an index, a manifest or a configuration of a container's image", 4 * MB)
OCI_LAYERS = Limit("oci-layers", "layers of a container's image, and images of a layout", 128, "entries")
OCI_INDEXES = Limit("oci-indexes", "indexes within indexes of a layout", 3, "levels")
SOURCE_ARCHIVE = Limit("source-archive", "an archive of a program's source", 2 * GB)
SOURCE_UNPACKED = Limit("source-unpacked", "its files, unpacked", 16 * GB)
SOURCE_NAMES = Limit("source-names", "its files that are looked at to see how it is built", 20_000, "files")
SOURCE_LOOK = Limit("source-look", "how much of it is read for that", 512 * MB)
SOURCE_HEADERS = Limit("source-headers", "headers of the files that are looked at for that, in sum", 16 * MB)
SOURCE_TIME = Limit("source-time", "building one program from its source", 6 * 3600, "s")

FETCHING_INDEXES = Limit("indexes-time", "fetching the package indexes in a guest, each of three times", 300, "s")
APT_ANSWER = Limit("apt-answer", "what apt of this host prints of a plan's packages", 16 * MB)
APT_TIME = Limit("apt-time", "how long it reckons which packages a plan takes", 60, "s")
INSTALLING = Limit("install-time", "a step that installs packages, and has no limit of its own", 6 * 3600, "s")

# Caches and locks.

CACHE_RECORD = Limit("cache-record", "a record in a cache: of a layer, of artifacts, or of a package archive", 16 * MB)
INPUT_ENTRIES = Limit(
    "input-entries", "steps in a record of a build, and what one of them depends on", 5_000, "entries"
)
INPUT_TEXT = Limit("input-text", "a file of a recipe that such a record keeps, for its lines to be compared", 64 * KB)


def table() -> str:
    """Every limit as a Markdown table, in the order of this module, for docs/security.md."""
    rows = [
        f"| `{limit.name}` | {limit.of} | {limit.shown} |" for limit in globals().values() if isinstance(limit, Limit)
    ]
    return "\n".join(["| limit | of what | at most |", "|---|---|---|", *rows])
