"""`python -m hf_seq2seq`: the command line, for torchrun and `accelerate launch -m`."""

from hf_seq2seq.cli.app import main

if __name__ == "__main__":
    main()
