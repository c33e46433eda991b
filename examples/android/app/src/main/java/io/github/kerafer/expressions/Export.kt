package io.github.kerafer.expressions

import android.content.res.AssetManager
import org.json.JSONObject

/** What an export's manifest.json tells of its files. */
class Export(assets: AssetManager) {
    private val manifest = JSONObject(
        assets.open("manifest.json").bufferedReader().use { it.readText() },
    )
    private val input = manifest.getJSONObject("input")

    /** The classes, in the order of the probabilities. */
    val labels: List<String> = manifest.getJSONArray("labels").let { names ->
        List(names.length()) { names.getString(it) }
    }

    val height = input.getJSONArray("shape").getInt(1)
    val width = input.getJSONArray("shape").getInt(2)

    /**
     * Is added to a face's box on each side, as a part of its longer side; null
     * where the model saw whole pictures in its training.
     */
    val margin: Float? =
        if (input.isNull("face_margin")) null
        else input.getDouble("face_margin").toFloat()

    init {
        require(input.getJSONArray("shape").getInt(3) == 3) {
            "This app hands over R, G and B. The model takes gray images: " +
                "export it without --keep-gray."
        }
        require(input.getString("kind") == "uint8") {
            "This app hands over bytes. The model takes floats."
        }
    }
}
