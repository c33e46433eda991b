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

# A line each: the name of its run, and its flags.
: "${TEACHERS:=teacher_edge --arch kerafer_edge --epochs 60
teacher_edge_wide --arch kerafer_edge --options width=1.5 --epochs 60
teacher_resnet18 --arch resnet18 --epochs 60}"
: "${STUDENT:=--arch kerafer_edge --epochs 60}"
# What fits into 150 KB with 8 bits.
: "${SMALL:=--arch kerafer_edge --options width=0.375 --epochs 60}"
# Of all trainings.
: "${COMMON:=--config strong --mix none --image-size 48 --channels 1}"
: "${TEACHING:=--distill-alpha 0.7 --temperature 4}"
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

# train NAME FLAGS [TEACHERS]
train() {
  local run=$out/$1
  if [ -f "$run/metrics.json" ]; then
    echo "$run is over already."
  elif [ -f "$run/config.yaml" ]; then
    "$KERAFER" train --resume "$run"
  else
    split_words "$COMMON $2"
    if [ $# -gt 2 ]; then
      words+=(--teacher "$3")
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

train kerafer_edge_fer2013 "$STUDENT $TEACHING" "$teachers"
train kerafer_edge_small_fer2013 "$SMALL $TEACHING" "$teachers"
runs+=(kerafer_edge_fer2013 kerafer_edge_small_fer2013)
for name in "${runs[@]}"; do
  evaluate "$name"
done

export_run kerafer_edge_fer2013
export_run kerafer_edge_small_fer2013
