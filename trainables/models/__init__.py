"""Networks, each a plain `nn.Module` built from named arguments."""
