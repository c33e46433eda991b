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

# A line each: the name of its run, and its flags. The first one is where the
# student starts.
: "${TEACHERS:=teacher_adamw --seed 1
teacher_sgd --seed 2 --mix none --optimizer sgd --learning-rate 0.1 \
--weight-decay 5e-3 --label-smoothing 0.1}"
: "${STUDENT:=--seed 5 --epochs 24 --learning-rate 0.06}"
# What fits into 150 KB with 8 bits, and where it starts.
: "${SMALL_ALONE:=--options width=0.375 --mix none --learning-rate 8e-3 \
--label-smoothing 0.1 --epochs 70}"
: "${SMALL:=--options width=0.375 --seed 6 --epochs 24 --learning-rate 0.1}"
# Of all trainings.
: "${COMMON:=--arch kerafer_edge --config strong --image-size 48 --channels 1}"
# Of those with teachers: what one learns from them is how doubtful a picture
# is, so pictures are changed further, and labels are taken as they are.
: "${TEACHING:=--distill-alpha 0.7 --temperature 4 --augment strong \
--mix mixup --label-smoothing 0 --class-weights balanced --optimizer sgd \
--weight-decay 5e-3 --warmup-epochs 1}"
: "${FORMATS:=keras,float16,int8,integer}"
: "${EXPORTED:=exported}"
# Such as --allow-drop, to try the script with next to no training.
: "${EXPORT_FLAGS:=}"
: "${PERSON:=^(.+)_\d+}"
: "${KERAFER:=kerafer}"

fer2013=(--dataset fer2013 --data-dir "$data")
split=$out/clean.csv

# Divide flags into the array `words`.
split_words() {
  read -r -d '' -a words <<<"$*" || true
}

# train NAME FLAGS [START TEACHERS]
train() {
  local run=$out/$1
  if [ -f "$run/metrics.json" ]; then
    echo "$run is over already."
  elif [ -f "$run/config.yaml" ]; then
    "$KERAFER" train --resume "$run"
  else
    split_words "$COMMON $2"
    if [ $# -gt 2 ]; then
      words+=(--init-from "$3" --teacher "$4")
    fi
    "$KERAFER" train "${fer2013[@]}" --split "$split" "${words[@]}" \
      --out "$run"
  fi
}

# evaluate NAME
evaluate() {
  "$KERAFER" evaluate --model "$out/$1" --out "$out/evaluations/$1"
}

# export_run NAME
export_run() {
  split_words "--formats $FORMATS $EXPORT_FLAGS"
  if [ -n "$other" ]; then
    words+=(--also-on "$other" --subject-pattern "$PERSON")
  fi
  "$KERAFER" export --model "$out/$1" --out "$EXPORTED/$1" "${words[@]}"
}

# A stratified tenth tests, a tenth of the rest validates. Pictures that stand
# in two parts, nearly equal, or under two labels are out of use.
if [ ! -f "$split" ]; then
  "$KERAFER" audit "${fer2013[@]}" --out "$out/audit" --clean "$split"
fi

runs=()
teachers=
while read -r name flags; do
  train "$name" "$flags" </dev/null
  runs+=("$name")
  teachers+=${teachers:+,}$out/$name
done <<<"$TEACHERS"
train small_alone "$SMALL_ALONE"

train kerafer_edge_fer2013 "$STUDENT $TEACHING" "${teachers%%,*}" "$teachers"
train kerafer_edge_small_fer2013 "$SMALL $TEACHING" "$out/small_alone" \
  "$teachers"
runs+=(small_alone kerafer_edge_fer2013 kerafer_edge_small_fer2013)
for name in "${runs[@]}"; do
  evaluate "$name"
done

export_run kerafer_edge_fer2013
export_run kerafer_edge_small_fer2013
