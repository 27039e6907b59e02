"""Of kserve 0.21.0: the arguments of all servers."""

import argparse

parser = argparse.ArgumentParser(add_help=False)
parser.add_argument("--model_name", default="model")
