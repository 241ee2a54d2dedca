"""Writes the licences of everything that is linked into the programs of a release, from `cargo metadata`.

    licences.py TRIPLE MANIFEST:PACKAGE[,PACKAGE…] …
"""
import collections, json, os, pathlib, subprocess, sys


def linked(triple, manifest, roots):
    """The packages from a registry or a repository that the roots need at run time."""
    command = [os.environ.get("CARGO", "cargo"), "metadata", "--format-version", "1", "--locked", "--filter-platform", triple]
    metadata = json.loads(subprocess.run([*command, "--manifest-path", manifest], check=True, stdout=subprocess.PIPE).stdout)
    packages = {package["id"]: package for package in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    left = [id for id, package in packages.items() if package["name"] in roots and not package["source"]]
    if len(left) != len(roots):
        sys.exit(f"licences: {manifest} has not all of {', '.join(roots)}")
    seen = set(left)
    while left:
        for dependency in nodes[left.pop()]["deps"]:
            normal = any(kind["kind"] is None for kind in dependency["dep_kinds"])
            if normal and dependency["pkg"] not in seen:
                seen.add(dependency["pkg"])
                left.append(dependency["pkg"])
    return [packages[id] for id in seen if packages[id]["source"]]


def texts(package):
    folder = pathlib.Path(package["manifest_path"]).parent
    names = ("license", "licence", "copying", "notice", "unlicense")
    files = sorted(file for file in folder.iterdir() if file.is_file() and file.name.lower().startswith(names))
    return [file.read_text(errors="replace").replace("\r\n", "\n").strip() for file in files]


triple, found = sys.argv[1], {}
for argument in sys.argv[2:]:
    manifest, _, roots = argument.partition(":")
    for package in linked(triple, manifest, roots.split(",")):
        found[package["name"], package["version"]] = package
print("# Licences\n\nLongshore itself is under the MIT licence. Linked into its programs are:\n")
print("| package | version | licence |\n|---|---|---|")
by_text = collections.defaultdict(list)
for (name, version), package in sorted(found.items()):
    print(f"| {name} | {version} | {package['license'] or 'see its text'} |")
    for text in texts(package):
        by_text[text].append(f"{name} {version}")
for text, users in sorted(by_text.items(), key=lambda item: (item[1], item[0])):
    print(f"\n## {', '.join(users)}\n\n```text\n{text}\n```")
