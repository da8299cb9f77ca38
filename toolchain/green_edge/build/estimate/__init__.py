"""What a model costs on a board that nobody needs to own: counted, predicted, in ranges."""
