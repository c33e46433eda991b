package io.github.kerafer.expressions

import android.content.Context
import android.graphics.Canvas
import android.graphics.Color
import android.graphics.Paint
import android.graphics.RectF
import android.view.View

/** Lies on the preview: a box around the face, and a bar for each class. */
class SeenView(context: Context) : View(context) {
    private var seen: Seen? = null
    private var words = ""
    private var labels = emptyList<String>()
    private var pictureWidth = 1
    private var pictureHeight = 1
    private var mirrored = false
    private val unit = resources.displayMetrics.density
    private val line = Paint(Paint.ANTI_ALIAS_FLAG).apply {
        color = Color.WHITE
        style = Paint.Style.STROKE
        strokeWidth = 3 * unit
    }
    private val shade = Paint().apply { color = Color.argb(160, 0, 0, 0) }
    private val bar = Paint().apply { color = Color.rgb(120, 190, 255) }
    private val text = Paint(Paint.ANTI_ALIAS_FLAG).apply {
        color = Color.WHITE
        textSize = 16 * unit
    }

    /** Shows what was seen on a picture of this size. */
    fun show(
        seen: Seen?,
        labels: List<String>,
        width: Int,
        height: Int,
        mirrored: Boolean,
    ) {
        this.seen = seen
        this.labels = labels
        this.mirrored = mirrored
        pictureWidth = width
        pictureHeight = height
        words = if (seen == null) context.getString(R.string.no_face) else ""
        invalidate()
    }

    /** Shows a sentence and nothing else. */
    fun say(sentence: String) {
        seen = null
        words = sentence
        invalidate()
    }

    override fun onDraw(canvas: Canvas) {
        super.onDraw(canvas)
        if (words.isNotEmpty()) {
            canvas.drawText(words, 16 * unit, height - 24 * unit, text)
        }
        val seen = seen ?: return
        canvas.drawRect(onScreen(seen), line)
        drawBars(canvas, seen.probabilities)
    }

    /** The preview fits the whole picture into the middle, and so does this. */
    private fun onScreen(seen: Seen): RectF {
        val scale = minOf(
            width / pictureWidth.toFloat(),
            height / pictureHeight.toFloat(),
        )
        val left = (width - scale * pictureWidth) / 2
        val top = (height - scale * pictureHeight) / 2
        val box = RectF(seen.box)
        if (mirrored) {
            box.set(
                pictureWidth - box.right,
                box.top,
                pictureWidth - box.left,
                box.bottom,
            )
        }
        return RectF(
            left + scale * box.left,
            top + scale * box.top,
            left + scale * box.right,
            top + scale * box.bottom,
        )
    }

    private fun drawBars(canvas: Canvas, probabilities: FloatArray) {
        val step = 26 * unit
        val top = height - step * labels.size - 16 * unit
        val nameWidth = labels.maxOf { text.measureText(it) } + 32 * unit
        val longest = width - nameWidth - 16 * unit
        canvas.drawRect(0f, top, width.toFloat(), height.toFloat(), shade)
        labels.forEachIndexed { index, label ->
            val y = top + step * index
            canvas.drawText(label, 16 * unit, y + 18 * unit, text)
            canvas.drawRect(
                nameWidth,
                y + 6 * unit,
                nameWidth + longest * probabilities[index],
                y + 20 * unit,
                bar,
            )
        }
    }
}
