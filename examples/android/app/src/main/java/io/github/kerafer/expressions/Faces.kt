package io.github.kerafer.expressions

import android.graphics.Bitmap
import android.graphics.Rect
import kotlin.math.round

/**
 * A square around a face, cut out as kerafer does for training: where it
 * reaches over the picture, the pixels of the edge are repeated.
 */
fun cutOut(picture: Bitmap, box: Rect, margin: Float): Bitmap {
    val longer = maxOf(box.width(), box.height())
    val side = maxOf(1, round(longer * (1 + 2 * margin)).toInt())
    val left = round(box.left + (box.width() - side) / 2f).toInt()
    val top = round(box.top + (box.height() - side) / 2f).toInt()
    val square = Bitmap.createBitmap(side, side, Bitmap.Config.ARGB_8888)
    val row = IntArray(picture.width)
    val part = IntArray(side)
    for (y in 0 until side) {
        val source = (top + y).coerceIn(0, picture.height - 1)
        picture.getPixels(row, 0, row.size, 0, source, row.size, 1)
        for (x in part.indices) {
            part[x] = row[(left + x).coerceIn(0, row.size - 1)]
        }
        square.setPixels(part, 0, side, 0, y, side, 1)
    }
    return square
}

/** Halves a picture, which averages, until one step brings it to the size. */
fun shrunk(picture: Bitmap, width: Int, height: Int): Bitmap {
    var small = picture
    while (small.width >= 2 * width && small.height >= 2 * height) {
        small = scaled(small, small.width / 2, small.height / 2)
    }
    return scaled(small, width, height)
}

private fun scaled(picture: Bitmap, width: Int, height: Int): Bitmap =
    Bitmap.createScaledBitmap(picture, width, height, true)
