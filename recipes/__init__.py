"""One file a recipe: read from top to bottom, it is a whole run. Installed as `hf_seq2seq.recipes`."""

# With the repository's root on the path this folder could be imported a second time under its bare name: every class in
# it would then exist twice, and `isinstance` would say no to equal objects.
if __name__ != "hf_seq2seq.recipes":
    raise ImportError(f"the recipes are imported as hf_seq2seq.recipes, not as {__name__}")
