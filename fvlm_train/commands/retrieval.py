"""`fvlm-eval retrieval`."""

from __future__ import annotations

from fvlm_data.cli.console import one_sentence, print_json_line, print_line, progress_shown
from fvlm_data.extras import needs_extra
from fvlm_train.commands.options import (
    ConfigOption,
    JsonOption,
    RunArgument,
    SetOption,
    SplitOption,
    StoreOption,
)


def retrieval_command(
    run: RunArgument,
    store: StoreOption,
    split: SplitOption = "test",
    config_file: ConfigOption = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """R@1, 5 and 10 from text to image, image to text, image to image, beside chance."""
    from fvlm_train.data.splits import open_split

    with one_sentence(), progress_shown() as show:
        with needs_extra("train", "fvlm-eval"):
            from fvlm_train.commands.prepared import prepared
            from fvlm_train.evaluate.retrieval import plain, printed, retrieval
        ready = prepared(run, store, config_file, overrides)
        source = open_split(store, split)
        found = retrieval(
            ready.run.model,
            source,
            ready.embeddings(source, show),
            ready.run.config,
            ready.config,
            lambda done, total: show("rank", done, total),
        )
    if as_json:
        print_json_line(plain(found))
        return
    for line in printed(found):
        print_line(line)
