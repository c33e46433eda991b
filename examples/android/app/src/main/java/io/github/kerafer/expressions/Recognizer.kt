package io.github.kerafer.expressions

import android.content.Context
import android.graphics.Bitmap
import android.graphics.Rect
import com.google.android.gms.tasks.Tasks
import com.google.mlkit.vision.common.InputImage
import com.google.mlkit.vision.face.FaceDetection
import com.google.mlkit.vision.face.FaceDetectorOptions

/** A face on a picture and the probability of each class. */
class Seen(val box: Rect, val probabilities: FloatArray)

/** Finds the largest face of a picture and tells its expression. */
class Recognizer(context: Context) : AutoCloseable {
    private val expressions = Expressions(context)
    private val faces = FaceDetection.getClient(
        FaceDetectorOptions.Builder()
            .setPerformanceMode(FaceDetectorOptions.PERFORMANCE_MODE_FAST)
            .build(),
    )

    val labels get() = expressions.export.labels

    /** Null without a face. Waits for the detector: not for the main thread. */
    fun of(picture: Bitmap): Seen? {
        val found = Tasks.await(faces.process(InputImage.fromBitmap(picture, 0)))
        val box = found.map { it.boundingBox }
            .maxByOrNull { it.width() * it.height() } ?: return null
        val margin = expressions.export.margin
        val face = if (margin == null) picture else cutOut(picture, box, margin)
        return Seen(box, expressions.of(face))
    }

    override fun close() {
        faces.close()
        expressions.close()
    }
}
