"""The commands: a module each, imported when it is called for; its `build_command` makes the command."""

COMMANDS = {
    "train": "Train a model by a recipe, evaluate it and save it.",
    "preview": "Show what a recipe would train on, and train nothing.",
    "generate": "Write the target of every source: translate, summarise, pronounce, whatever a model was trained for.",
    "classify": "Name the label of every text, with its score.",
    "evaluate": "Score a model on a test set, or a file of predictions against files of references.",
    "rate": "Make a blind rating sheet of systems' texts, a page that people fill in by a browser.",
    "ratings": "Report what people rated: means, differences, agreement.",
    "average": "Write a model whose weights are the mean of several checkpoints'.",
    "export": "Write a model for another engine, and check at once that it says the same.",
    "push": "Publish a finished run on the Hub; what is there already is not sent again.",
    "pull": "Bring a model from the Hub into a folder that trains on.",
    "tokenizer": "Train a tokenizer; see what one does to a text.",
    "recipes": "List the recipes, read one, copy one to change it.",
}
