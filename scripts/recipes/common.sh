# What the recipes share; each takes it in, none runs it.

# After the flags of every training, such as --epochs 1 to try the script.
: "${EXTRA:=}"
: "${FORMATS:=keras,float16,int8}"
: "${EXPORTED:=exported}"
# Such as --ignore-gates, to try the script with next to no training.
: "${EXPORT_FLAGS:=}"
: "${PERSON:=^(.+)_\d+}"
: "${KERAFER:=kerafer}"

# Divide flags into the array `words`.
split_words() {
  read -r -d '' -a words <<<"$*" || true
}

# train_once RUN WORD...: what a run was begun with counts, and is over once.
train_once() {
  local run=$1
  shift
  if [ -f "$run/metrics.json" ]; then
    echo "$run is over already."
  elif [ -f "$run/config.yaml" ]; then
    "$KERAFER" train --resume "$run"
  else
    "$KERAFER" train "$@" --out "$run"
  fi
}

# evaluate OUT NAME
evaluate() {
  "$KERAFER" evaluate --model "$1/$2" --out "$1/evaluations/$2" --force
}

# export_run OUT NAME OTHER_PICTURES
export_run() {
  split_words "--formats $FORMATS $EXPORT_FLAGS"
  if [ -n "$3" ]; then
    words+=(--external-test "$3" --subject-pattern "$PERSON")
    # Such as how the pictures were labeled.
    [ -z "${OTHER_NOTE:-}" ] || words+=(--external-note "$OTHER_NOTE")
  fi
  "$KERAFER" export --model "$1/$2" --out "$EXPORTED/$2" --force "${words[@]}"
}
