"""The pages of the site in one folder: docs/, and those of the root that belong to it, with their links put right.

`python -m deploy.site` writes it; `zensical build` makes the site of it.
"""

import re
import shutil
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "build" / "docs"
FROM_ROOT = ("ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "LICENSE")


def main(folder: Path = FOLDER) -> None:
    """Write the folder anew."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ROOT / "docs", folder)
    for page in folder.rglob("*.md"):
        page.write_text(re.sub(r"\]\(\.\./([A-Z]+(?:\.md)?)(?=[)#])", r"](\1", page.read_text()))
    for name in FROM_ROOT:
        (folder / name).write_text((ROOT / name).read_text().replace("](docs/", "]("))


if __name__ == "__main__":
    main()
