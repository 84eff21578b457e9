"""The exceptions nanovl raises on purpose.

    NanoVLError
    +-- ConfigError      a setting is unknown, missing or contradicts another one
    +-- CheckpointError  files of a checkpoint are missing, damaged or do not fit the model
    +-- InputError       a message, picture, document, video or prompt cannot be used
    +-- CapacityError    memory, cache slots or a limit would be exceeded
    +-- DeadlineError    the time a request was given is over
    +-- BackendError     an optional package, device or kernel is not available

A message says, in this order: what happened, where, what was expected, what to do. The command
line prints it as one line and the server maps the class to an HTTP status; neither shows a
traceback. Anything else that escapes is a bug in nanovl.
"""

__all__ = [
    "BackendError",
    "CapacityError",
    "CheckpointError",
    "ConfigError",
    "DeadlineError",
    "InputError",
    "NanoVLError",
]


class NanoVLError(Exception):
    """Base of every error a user, a file or the network can cause."""


class ConfigError(NanoVLError):
    """A setting is unknown, missing, of the wrong type, or contradicts another one."""


class CheckpointError(NanoVLError):
    """A checkpoint is missing files, damaged, or does not fit the model it claims to be."""


class InputError(NanoVLError):
    """A message, media file or prompt cannot be used as given."""


class CapacityError(NanoVLError):
    """The request needs more memory, slots or tokens than there are."""


class DeadlineError(NanoVLError):
    """The time a request was given is over before it was answered."""


class BackendError(NanoVLError):
    """An optional package, device or kernel this call needs is not available."""


def missing_extra(package: str, extra: str, purpose: str) -> BackendError:
    """Build the error for an optional dependency that is not installed.

    Args:
        package: Import name of the package that was not found.
        extra: The extra of nanovl that brings it.
        purpose: What it is needed for, as a noun phrase.
    """
    return BackendError(
        f"{purpose} needs the package '{package}', which is not installed; "
        f"install it with: pip install 'nanovl[{extra}]'"
    )
