"""The life of one output commit, from find to finish."""
