package io.github.kerafer.expressions

import androidx.test.ext.junit.runners.AndroidJUnit4
import androidx.test.platform.app.InstrumentationRegistry
import java.nio.ByteBuffer
import java.nio.ByteOrder
import kotlin.math.abs
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith

/** Whether the phone answers as the machine did that made the export. */
@RunWith(AndroidJUnit4::class)
class GoldenTest {
    @Test
    fun answersAreThoseOfTheExport() {
        val test = InstrumentationRegistry.getInstrumentation()
        val assets = test.context.assets
        val images = assets.open("images.bin").use { it.readBytes() }
        val expected = ByteBuffer
            .wrap(assets.open("expected.bin").use { it.readBytes() })
            .order(ByteOrder.LITTLE_ENDIAN)
            .asFloatBuffer()
        Expressions(test.targetContext).use { model ->
            val classes = model.export.labels.size
            val size = images.size * classes / expected.capacity()
            for (start in images.indices step size) {
                val answer = model.of(images.copyOfRange(start, start + size))
                for (probability in answer) {
                    assertTrue(abs(probability - expected.get()) < 0.02f)
                }
            }
        }
    }
}
