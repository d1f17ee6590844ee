"""What bash loads when somebody completes the first time; the program then answers it."""

from pathlib import Path

from typer.completion import get_completion_script  # type: ignore[attr-defined] # what --show-completion prints


def write(directory: Path) -> None:
    """Write the file that bash-completion looks for, below the command's name."""
    directory.mkdir(parents=True, exist_ok=True)
    script = get_completion_script(prog_name="safelist", complete_var="_SAFELIST_COMPLETE", shell="bash")  # noqa: S604
    (directory / "safelist").write_text(f"# bash completion for safelist(1)\n{script}\n", encoding="utf-8")
