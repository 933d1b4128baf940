"""`fvlm-eval organs`."""

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


def organs_command(
    run: RunArgument,
    store: StoreOption,
    split: SplitOption = "test",
    config_file: ConfigOption = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Which organ a region is (top-1, top-5), and AUC of abnormal organs, by texts."""
    from fvlm_train.data.splits import open_split

    with one_sentence(), progress_shown() as show:
        with needs_extra("train", "fvlm-eval"):
            from fvlm_train.commands.prepared import prepared
            from fvlm_train.evaluate.findings import store_vocabulary
            from fvlm_train.evaluate.organs.asked import asked_regions
            from fvlm_train.evaluate.organs.judge import (
                OrgansResult,
                abnormality,
                printed,
                recognition,
            )
        ready = prepared(run, store, config_file, overrides)
        model, train, config = ready.run.model, ready.run.config, ready.config
        words = store_vocabulary(store).regions
        source = open_split(store, split)
        embeddings = ready.embeddings(source, show)
        regions = asked_regions(
            model, source, train, config, lambda done, total: show("regions", done, total)
        )
        recognised = recognition(model, regions, words, config)
        table, macro = abnormality(model, source, embeddings, ready.findings, words, train, config)
        result = OrgansResult(recognised, table, macro)
    if as_json:
        print_json_line(result.as_json())
        return
    for line in printed(result, config.confidence):
        print_line(line)
