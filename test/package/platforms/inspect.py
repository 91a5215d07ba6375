#!/usr/bin/env python3
"""Reads the prebuilds of systems whose programs cannot run here: what they export, what they import, for which system.

    inspect.py SYSTEM FOLDER NODE TBD

FOLDER holds the addon and its plug-in, NODE is Node for a system of that kind, TBD the list of what macOS's libSystem has.
"""

import pathlib
import re
import sys

import lief

lief.disable_leak_warning()
lief.logging.disable()
ARCHITECTURES = {"arm64": ("ARM64",), "x64": ("X86_64", "AMD64")}
ADDON_EXPORTS = {"napi_register_module_v1", "node_api_module_get_api_version_v1"}
OLDEST_MACOS = [11, 0, 0]
WINDOWS_LIBRARIES = re.compile(r"(kernel32|api-ms-win-crt-[a-z]+-l1-1-0)\.dll", re.IGNORECASE)


def check(holds, message):
    if not holds:
        sys.exit(message)


def parsed(path):
    binary = lief.parse(str(path))
    check(binary is not None, f"{path} is no program")
    return binary.at(0) if isinstance(binary, lief.MachO.FatBinary) else binary


def exported(binary):
    if isinstance(binary, lief.PE.Binary):
        return {entry.name for entry in binary.get_export().entries}
    return {symbol.name.removeprefix("_") for symbol in binary.exported_symbols}


def check_macos(path, binary, node, system_names):
    libraries = {library.name for library in binary.libraries} - {binary.libraries[0].name}
    check(libraries == {"/usr/lib/libSystem.B.dylib"}, f"{path} needs {libraries}")
    check(binary.build_version.minos == OLDEST_MACOS, f"{path} is for macOS {binary.build_version.minos}")
    signed = binary.has_code_signature or "ARM64" not in str(binary.header.cpu_type)
    check(signed, f"{path} is not signed: Apple's processors run nothing that is not")
    imported = {symbol.name.removeprefix("_") for symbol in binary.imported_symbols}
    node_functions = {name for name in imported if name.startswith(("napi_", "node_api_"))}
    check(node_functions <= exported(node), f"{path}: Node lacks {node_functions - exported(node)}")
    unknown = imported - node_functions - system_names
    check(not unknown, f"{path}: macOS lacks {sorted(unknown)}")
    return len(node_functions)


def check_windows(path, binary, node):
    libraries = {library.name for library in binary.imports}
    check(all(WINDOWS_LIBRARIES.fullmatch(name) for name in libraries), f"{path} needs {libraries}")
    # It looks Node's functions up by these names.
    content = pathlib.Path(path).read_bytes()
    names = {name for name in exported(node) if name.startswith("napi_") and name.encode() + b"\0" in content}
    return len(names)


def main(system, folder, node_path, tbd):
    node = parsed(node_path)
    system_names = {name.removeprefix("_") for name in re.findall(r"[A-Za-z0-9_$.]+", pathlib.Path(tbd).read_text())}
    summary = []
    for path in sorted(pathlib.Path(folder).iterdir()):
        binary = parsed(path)
        machine = str(binary.header.cpu_type if system.startswith("darwin") else binary.header.machine).split(".")[-1]
        check(machine in ARCHITECTURES[system.split("-")[1]], f"{path} is for {machine}")
        wanted = ADDON_EXPORTS if path.suffix == ".node" else {"dpm_backend_entry"}
        check(wanted <= exported(binary), f"{path} exports {sorted(exported(binary))}")
        if system.startswith("darwin"):
            found = check_macos(path, binary, node, system_names)
        else:
            found = check_windows(path, binary, node)
        if path.suffix == ".node":
            check(found > 50, f"{path} uses {found} functions of Node-API")
            summary.append(f"{found} functions of Node-API")
    check(len(summary) == 1, f"{folder} has {len(summary)} addons")
    print(summary[0] + (", macOS 11.0" if system.startswith("darwin") else ""))


if __name__ == "__main__":
    main(*sys.argv[1:])
