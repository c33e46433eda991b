#!/usr/bin/env bash
# The model that kerafer brings along, from the pictures to the exported files:
#
#     scripts/recipes/edge_fer2013.sh train.zip runs/edge_fer2013 faces.zip
#
# with FER2013 as `kerafer train --dataset fer2013` takes it, a folder for all
# that is trained, and, if there is one, a folder or .zip of other labelled
# pictures, <class>/*, which nothing is trained on and the model card tells of.
# Files are named <person>_<number> there, or PERSON says otherwise.
#
# The same command goes on where it was broken off. What stands is not trained
# again: delete a run's folder and its export for that. Takes days on one core.
set -euo pipefail

if [ $# -lt 2 ] || [ $# -gt 3 ]; then
  echo "usage: $0 FER2013 FOLDER [OTHER_PICTURES]" >&2
  exit 2
fi
data=$1 out=$2 other=${3:-}

# Of all trainings.
: "${COMMON:=--arch kerafer_edge --config strong --image-size 48 --channels 1}"
# shellcheck source=scripts/recipes/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

fer2013=(--dataset fer2013 --data-dir "$data")
split=$out/clean.csv

# train NAME FLAGS [START TEACHER...]
train() {
  local run=$out/$1 teacher teachers=
  split_words "$COMMON $2 $EXTRA"
  shift 2
  if [ $# -gt 0 ]; then
    words+=(--init-from "$out/$1")
    shift
    for teacher; do
      teachers+=${teachers:+,}$out/$teacher
    done
    words+=(--teacher "$teachers")
  fi
  train_once "$run" "${fer2013[@]}" --split "$split" "${words[@]}"
}

# A stratified tenth tests, a tenth of the rest validates. Pictures that stand
# in two parts, nearly equal, or under two labels are out of use.
if [ ! -f "$split" ]; then
  "$KERAFER" audit "${fer2013[@]}" --out "$out/audit" --clean "$split" --force
fi

train teacher_adamw "--seed 1"
train teacher_sgd "--seed 2 --mix none --optimizer sgd --learning-rate 0.1
  --weight-decay 5e-3 --label-smoothing 0.1"

# What a student learns from teachers is how doubtful a picture is; labels are
# taken as they are. It starts where another training ended.
taught="--optimizer sgd --weight-decay 5e-3 --warmup-epochs 1
  --label-smoothing 0 --temperature 4"
train student_first "$taught --seed 5 --epochs 24 --learning-rate 0.06
  --augment strong --mix mixup --class-weights balanced --distill-alpha 0.7" \
  teacher_adamw teacher_adamw teacher_sgd
train kerafer_edge_fer2013 "$taught --seed 7 --epochs 14 --learning-rate 0.03
  --mix mixup --distill-alpha 0.9" \
  student_first teacher_adamw teacher_sgd student_first

# What fits into 150 KB with 8 bits.
small="--options width=0.375"
train small_alone "$small --mix none --learning-rate 8e-3
  --label-smoothing 0.1 --epochs 70"
train kerafer_edge_small_fer2013 "$small $taught --seed 6 --epochs 18
  --learning-rate 0.06 --mix none --class-weights balanced
  --distill-alpha 0.7" \
  small_alone teacher_adamw teacher_sgd

for name in teacher_adamw teacher_sgd student_first kerafer_edge_fer2013 \
  small_alone kerafer_edge_small_fer2013; do
  evaluate "$out" "$name"
done

export_run "$out" kerafer_edge_fer2013 "$other"
export_run "$out" kerafer_edge_small_fer2013 "$other"
