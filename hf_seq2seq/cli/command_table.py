"""The commands: one module each, imported on demand; its `build_command` creates the command."""

COMMANDS = {
    "train": "Train a model with a recipe, evaluate it and save it.",
    "auto": "Find and train a good model for the rows within a given time.",
    "learning-curve": "Train on growing shares of the rows, and predict what more rows would bring.",
    "baseline": "Train a classical baseline in seconds and score it like a model.",
    "back-translate": "Translate monolingual text back, into synthetic sources of real targets to train on.",
    "rounds": "Iterative back-translation: a reverse and a forward model improve each other.",
    "clean": "Drop pairs that are broken, repeated, misaligned or in the test set, and count them by rule.",
    "preview": "Show what a recipe would train on, without training.",
    "generate": "Generate the target of every source: translate, summarize, or whatever the model was trained for.",
    "chat": "Talk to a model in the terminal.",
    "distill": "Write a teacher's outputs for training rows, to train a student on them.",
    "classify": "Predict the label of every text, with its score.",
    "serve": "Answer requests over HTTP, and show a page to try models.",
    "evaluate": "Score a model on a test set, or a file of predictions against files of references.",
    "exposure": "Measure what a model's own prefixes cost, and how its errors accumulate.",
    "analyze": "See where a model's quality is lost, what it attends to, and what to try: a page, figures, pictures.",
    "compare": "Compare systems on the same test rows: a table with significance and cost, and a page of differences.",
    "ablate": "Train a grid of settings, and report what each part is worth.",
    "rate": "Make a blind rating sheet of systems' texts, a page to fill in with a browser.",
    "ratings": "Report human ratings: means, differences, agreement.",
    "average": "Average the weights of several checkpoints.",
    "export": "Export a model for another engine, and check that its outputs are the same.",
    "push": "Publish a finished run on the Hub; unchanged files are not sent again.",
    "pull": "Download a model from the Hub to a folder.",
    "tokenizer": "Train a tokenizer; show how one splits a text.",
    "vectors": "Train word vectors; show nearest words; answer analogies.",
    "recipes": "List the recipes, show one, or copy one to modify it.",
}


def module_of(command: str) -> str:
    """The full name of a command's module."""
    return f"hf_seq2seq.cli.{command.replace('-', '_')}"
