package io.github.kerafer.expressions

import android.content.Context
import android.graphics.Bitmap
import com.google.ai.edge.litert.Accelerator
import com.google.ai.edge.litert.CompiledModel

/**
 * The model, for one thread at a time; its buffers are used again.
 *
 * A file of 8 bits is for the processor. For Accelerator.GPU take
 * float16.tflite, and add com.google.ai.edge.litert:litert-gpu.
 */
class Expressions(context: Context, private val file: String = "int8.tflite") :
    AutoCloseable {

    val export = Export(context.assets)
    private val model = CompiledModel.create(
        context.assets,
        file,
        CompiledModel.Options(Accelerator.CPU),
    )
    private val inputs = model.createInputBuffers()
    private val outputs = model.createOutputBuffers()
    private val pixels = IntArray(export.width * export.height)
    private val bytes = ByteArray(3 * pixels.size)

    /** The probability of each class, in the order of the labels. */
    fun of(face: Bitmap): FloatArray {
        shrunk(face, export.width, export.height).getPixels(
            pixels, 0, export.width, 0, 0, export.width, export.height,
        )
        pixels.forEachIndexed { index, pixel ->
            bytes[3 * index] = (pixel shr 16).toByte()
            bytes[3 * index + 1] = (pixel shr 8).toByte()
            bytes[3 * index + 2] = pixel.toByte()
        }
        return of(bytes)
    }

    /** The same for bytes that are the model's input already. */
    fun of(image: ByteArray): FloatArray {
        require(image.size == bytes.size) {
            "An image has ${bytes.size} bytes. Received: ${image.size}."
        }
        // The bytes are copied as they are: LiteRT has no writer for uint8.
        inputs[0].writeInt8(image)
        model.run(inputs, outputs)
        if (file !in WHOLE_NUMBERS) return outputs[0].readFloat()
        val answer = outputs[0].readInt8()
        return FloatArray(answer.size) { (answer[it].toInt() and 0xff) / 256f }
    }

    override fun close() {
        (inputs + outputs).forEach { it.close() }
        model.close()
    }

    private companion object {
        val WHOLE_NUMBERS = setOf("int8.tflite")
    }
}
