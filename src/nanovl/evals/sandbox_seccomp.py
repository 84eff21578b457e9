"""A seccomp filter for bubblewrap: system calls that no test program needs are refused.

Namespaces take away what a program could reach; this takes away ways to make new ones and to hold
memory that no limit counts. Everything not named is allowed. Must not do anything but build bytes.

Source: evaluation specification, section 10.
"""

from __future__ import annotations

import errno
import platform
import struct

__all__ = ["seccomp_filter"]

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL, _REFUSE = 0x7FFF0000, 0x80000000, 0x00050000
_NUMBER_AT, _ARCH_AT, _FLAGS_AT = 0, 4, 16
_X32 = 0x40000000
_CLONE_NEWUSER = 0x10000000

# AUDIT_ARCH, clone, clone3, and the refused calls by the kernel's numbers, in this order: ptrace,
# shmget, msgget, pivot_root, mount, umount2, add_key, request_key, keyctl, unshare,
# perf_event_open, setns, process_vm_readv, process_vm_writev, memfd_create, bpf, userfaultfd,
# io_uring_setup, memfd_secret.
_X86 = "101 29 68 155 165 166 248 249 250 272 298 308 310 311 319 321 323 425 447"
_ARM = "117 194 186 41 40 39 217 218 219 97 241 268 270 271 279 280 282 425 447"
_TABLES = {
    "x86_64": (0xC000003E, 56, 435, _X86),
    "aarch64": (0xC00000B7, 220, 435, _ARM),
}


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)


def seccomp_filter(machine: str | None = None) -> bytes | None:
    """The filter as classic BPF, or None for a machine whose call numbers are not known here.

    Args:
        machine: As `platform.machine()` names it.
    """
    table = _TABLES.get(machine or platform.machine())
    if table is None:
        return None
    arch, clone, clone3, refused = table
    refuse = _step(_RETURN, _REFUSE | errno.EPERM)
    program = [
        _step(_LOAD, _ARCH_AT),
        _step(_EQUAL, arch, if_true=1),
        _step(_RETURN, _KILL),
        _step(_LOAD, _NUMBER_AT),
        _step(_AT_LEAST, _X32, if_false=1),
        refuse,
        # glibc falls back to clone, whose flags can be read here.
        _step(_EQUAL, clone3, if_false=1),
        _step(_RETURN, _REFUSE | errno.ENOSYS),
    ]
    for number in refused.split():
        program += [_step(_EQUAL, int(number), if_false=1), refuse]
    program += [
        _step(_EQUAL, clone, if_false=3),
        _step(_LOAD, _FLAGS_AT),
        _step(_ANY_BIT, _CLONE_NEWUSER, if_false=1),
        refuse,
        _step(_RETURN, _ALLOW),
    ]
    return b"".join(program)
