"""The shapes of commands and their answers: decoding one is validating it."""
