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
# START=DIR names a folder with edge_ferplus.keras, edge_small_ferplus.keras,
# teacher_0.keras, teacher_1.keras and a labels.txt of their eight classes: what
# is trained starts from the first two and learns from all. Without it everything
# is trained from nothing, which takes a GPU and was not run to its end.
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
# shellcheck source=scripts/recipes/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

ferplus=(--dataset ferplus --data-dir "$data")
# FER+ has 48 pixels a side. At 64 a face keeps as many of them where a
# detector's box is looser, which `robust` shows a model often.
size=(--image-size 64 --channels 1)
split=$out/split.csv

# train NAME FLAGS...
train() {
  local run=$out/$1
  shift
  split_words "$EXTRA"
  train_once "$run" "${ferplus[@]}" "${size[@]}" --split "$split" "$@" \
    "${words[@]}"
}

# Images that are nearly equal to one of another part are out of use. Where the
# test part is not there, every other image of the validation part tests: the
# models of START have seen all of the training part.
mkdir -p "$out"
if [ ! -f "$split" ]; then
  "$KERAFER" audit "${ferplus[@]}" --out "$out/audit" --clean "$out/clean.csv" \
    --force
  awk -F, -v OFS=, '
    NR == FNR { if ($1 ~ /^FER2013Test/) whole = 1; next }
    FNR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; print; next }
    { part = $at["split"]
      if ($at["path"] ~ /^FER2013Train/ && part == "test") part = "train"
      if (part == "validation" && ++count % 2 == 0 && !whole) part = "test"
      $at["split"] = part; print }' \
    "$out/clean.csv" "$out/clean.csv" >"$split.part"
  mv "$split.part" "$split"
fi

small=(--options width=0.375)
if [ -n "$START" ]; then
  cp -n "$START"/*.keras "$START/labels.txt" "$out/"
  teachers=$out/edge_ferplus.keras,$out/teacher_0.keras,$out/teacher_1.keras
  taught=(--config ferplus --teacher "$teachers")
  last=(--prior-correction 0.35 --calibrate)
  train edge_wide "${taught[@]}" --init-from "$out/edge_ferplus.keras"
  # Once more, nothing mixed, with a learning rate that only falls.
  train kerafer_edge_ferplus "${taught[@]}" "${last[@]}" --mix none \
    --init-from "$out/edge_wide" --optimizer adam --learning-rate 3e-5 \
    --weight-decay 0 --warmup-epochs 0 --ema 0 --epochs 4
  train kerafer_edge_small_ferplus "${taught[@]}" "${last[@]}" "${small[@]}" \
    --init-from "$out/edge_small_ferplus.keras" --learning-rate 1.5e-3 \
    --epochs 16
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
  evaluate "$out" "$name"
  export_run "$out" "$name" "$other"
done
