import re

from sparseimplicit.cli.app import main


def test_warmup_says_how_long_it_took(capsys):
    assert main(["warmup"]) == 0
    assert re.fullmatch(r"kernels compiled in \d+\.\d s\n", capsys.readouterr().out)
