"""Commands with options that are not for people: what starts the command as a child gives them."""

from __future__ import annotations

import click


class Command(click.Command):
    """A command that proposes no hidden option in place of one that is misspelt."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the command line, or say what is wrong with it."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            hidden = {
                name for one in self.params if getattr(one, "hidden", False) for name in one.opts
            }
            close = [name for name in error.possibilities or () if name not in hidden]
            raise click.NoSuchOption(error.option_name, possibilities=close, ctx=ctx) from None
