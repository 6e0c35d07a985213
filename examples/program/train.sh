#!/bin/sh
# Finds the lowest point of a parabola: sh train.sh RATE MOMENTUM
# It continues from what it left in its checkpoint folder, and says the loss of each step.

state="$ASHTUNE_CHECKPOINT/state"
[ -f "$state" ] || echo "0 0 0" > "$state"

awk -v rate="$1" -v momentum="$2" -v target="$ASHTUNE_TARGET" -v state="$state" '
    { step = $1; x = $2; speed = $3 }
    END {
        while (step++ < target) {
            speed = momentum * speed - rate * 2 * (x - 3)
            x += speed
            print "step " step ": loss=" (x - 3) ^ 2
        }
        print step - 1, x, speed > state
    }
' "$state"
