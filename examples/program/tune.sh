#!/bin/sh
# Any program in any language: its hyperparameters are in braces, its metrics on its output.
ashtune run --space space.json --metric loss --mode min --trials 32 --max-resource 27 --resource step \
    -- sh train.sh '{rate}' '{momentum}'
