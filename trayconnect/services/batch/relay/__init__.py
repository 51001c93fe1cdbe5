"""A program of ours on a compute node that carries connections and commands over one stream."""
