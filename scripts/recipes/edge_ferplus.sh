#!/usr/bin/env bash
# The models that kerafer brings along, from the images to the exported files:
#
#     scripts/recipes/edge_ferplus.sh FERPLUS runs/ferplus faces.zip
#
# with FER+ as `kerafer train --dataset ferplus` takes it, a folder for all that
# is trained, and, if there is one, a folder or .zip of other labelled images,
# <class>/*, which nothing is trained or chosen on and the model card tells of.
# Files are named <person>_<number> there, or PERSON says otherwise.
#
# START=DIR names a folder with edge_ferplus.keras, edge_small_ferplus.keras and
# a labels.txt of their eight classes: what is trained starts from these, a
# quarter of an hour on two cores. Without it everything is trained from
# nothing, which takes a GPU and was not run to its end.
#
# The same command goes on where it was broken off. What stands is not trained
# again: delete a run's folder and its export for that.
set -euo pipefail

if [ $# -lt 2 ] || [ $# -gt 3 ]; then
  echo "usage: [START=DIR] $0 FERPLUS FOLDER [OTHER_IMAGES]" >&2
  exit 2
fi
data=$1 out=$2 other=${3:-}

: "${START:=}"
# After the flags of every training, such as --epochs 1 to try the script.
: "${EXTRA:=}"
: "${FORMATS:=keras,float16,int8,integer}"
: "${EXPORTED:=exported}"
# Such as --allow-drop, to try the script with next to no training.
: "${EXPORT_FLAGS:=}"
: "${PERSON:=^(.+)_\d+}"
: "${KERAFER:=kerafer}"

ferplus=(--dataset ferplus --data-dir "$data")
size=(--image-size 48 --channels 1)
split=$out/split.csv

# Divide flags into the array `words`.
split_words() {
  read -r -d '' -a words <<<"$*" || true
}

# train NAME FLAGS...
train() {
  local run=$out/$1
  shift
  if [ -f "$run/metrics.json" ]; then
    echo "$run is over already."
  elif [ -f "$run/config.yaml" ]; then
    "$KERAFER" train --resume "$run"
  else
    split_words "$EXTRA"
    "$KERAFER" train "${ferplus[@]}" "${size[@]}" --split "$split" "$@" \
      "${words[@]}" --out "$run"
  fi
}

# Images that are nearly equal to one of another part are out of use. Where the
# test part is not there, every other image of the validation part tests: the
# models of START have seen all of the training part.
mkdir -p "$out"
if [ ! -f "$split" ]; then
  "$KERAFER" audit "${ferplus[@]}" --out "$out/audit" --clean "$out/clean.csv"
  awk -F, -v OFS=, '
    NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; print; next }
    { part = $at["split"]
      if ($at["path"] ~ /^FER2013Train/ && part == "test") part = "train"
      if ($at["path"] ~ /^FER2013Test/) whole = 1
      if (part == "validation" && ++count % 2 == 0 && !whole) part = "test"
      $at["split"] = part; print }' "$out/clean.csv" >"$split.part"
  mv "$split.part" "$split"
fi

small=(--options width=0.375)
if [ -n "$START" ]; then
  cp -n "$START"/*.keras "$START/labels.txt" "$out/"
  train kerafer_edge_ferplus --config ferplus \
    --init-from "$out/edge_ferplus.keras"
  train kerafer_edge_small_ferplus --config ferplus "${small[@]}" \
    --init-from "$out/edge_small_ferplus.keras" \
    --teacher "$out/kerafer_edge_ferplus" --temperature 2 \
    --optimizer adamw --weight-decay 0.01 --learning-rate 5e-4 --ema 0.999 \
    --epochs 12
else
  long=(--augment robust --mix both --mix-alpha 0.4 --optimizer adamw
    --schedule cosine --warmup-epochs 3 --ema 0.999 --patience 1000
    --calibrate --prior-correction 0.35)
  for seed in 0 1; do
    train "teacher_$seed" --arch msc_wca_resnet18 "${long[@]}" --seed $seed \
      --learning-rate 2e-3 --weight-decay 0.05 --batch-size 256 --epochs 60
  done
  students=(--arch kerafer_edge "${long[@]}" --learning-rate 4e-3
    --weight-decay 0.02 --batch-size 256 --epochs 250 --distill-alpha 0.7
    --temperature 2 --teacher "$out/teacher_0,$out/teacher_1")
  train kerafer_edge_ferplus "${students[@]}"
  train kerafer_edge_small_ferplus "${students[@]}" "${small[@]}"
fi

for name in kerafer_edge_ferplus kerafer_edge_small_ferplus; do
  "$KERAFER" evaluate --model "$out/$name" --out "$out/evaluations/$name"
  split_words "--formats $FORMATS $EXPORT_FLAGS"
  if [ -n "$other" ]; then
    words+=(--also-on "$other" --subject-pattern "$PERSON")
  fi
  "$KERAFER" export --model "$out/$name" --out "$EXPORTED/$name" "${words[@]}"
done
