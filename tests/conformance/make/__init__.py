"""The scripts that make the cases: questions by hand, answers by hand or by `oracles`, never by postproc."""
