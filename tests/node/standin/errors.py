"""vzctl's exit codes, as far as the stand-in gives them, and how a command ends early."""

SYSTEM_ERROR = 3
EXEC_FAILED = 8
LOCKED = 9
NO_NODE = 10
NO_SCRIPT = 11
NO_CONFIG = 14
BAD_COMMAND = 20
BAD_VALUE = 21
TOO_FEW_LIMITS = 28
NO_TEMPLATE_NAMED = 29
NOT_RUNNING = 31
RUNNING = 32
STOP_FAILED = 33
NOT_MOUNTED = 40
MOUNTED = 41
NO_PRIVATE = 43
PRIVATE_EXISTS = 44
NO_SPACE = 46
BAD_TEMPLATE = 47
UNPACK_FAILED = 48
CANNOT_MOUNT = 50
CANNOT_UNMOUNT = 51
ADDRESS_IN_USE = 78
SCRIPT_FAILED = 79
NO_SAMPLE = 82
TEMPLATE_MISSING = 91
NO_PLOOP = 99
APPLY_FAILED = 109
VETH = 130
NAME = 131


class Refused(Exception):
    """Ends the command with `code` after it printed `message`, on standard error unless `out`."""

    def __init__(self, code: int, message: str, *, out: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.out = out
