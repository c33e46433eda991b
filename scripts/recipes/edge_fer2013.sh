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
# After the flags of every training, such as --epochs 1 to try the script.
: "${EXTRA:=}"
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

# train NAME FLAGS [START TEACHER...]
train() {
  local flags=$2 run=$out/$1 teacher teachers=
  shift 2
  if [ -f "$run/metrics.json" ]; then
    echo "$run is over already."
  elif [ -f "$run/config.yaml" ]; then
    "$KERAFER" train --resume "$run"
  else
    split_words "$COMMON $flags $EXTRA"
    if [ $# -gt 0 ]; then
      words+=(--init-from "$out/$1")
      shift
      for teacher; do
        teachers+=${teachers:+,}$out/$teacher
      done
      words+=(--teacher "$teachers")
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
  evaluate "$name"
done

export_run kerafer_edge_fer2013
export_run kerafer_edge_small_fer2013
