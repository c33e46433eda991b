package io.github.kerafer.expressions

import android.Manifest
import android.content.pm.PackageManager
import android.graphics.Bitmap
import android.graphics.Matrix
import android.os.Bundle
import android.view.WindowManager
import android.widget.FrameLayout
import androidx.activity.ComponentActivity
import androidx.activity.result.contract.ActivityResultContracts
import androidx.camera.core.CameraSelector
import androidx.camera.core.ImageProxy
import androidx.camera.view.CameraController
import androidx.camera.view.LifecycleCameraController
import androidx.camera.view.PreviewView
import java.util.concurrent.Executors

/** The front camera, the face in it, and what its expression is. */
class MainActivity : ComponentActivity() {
    private lateinit var preview: PreviewView
    private lateinit var view: SeenView
    private val worker = Executors.newSingleThreadExecutor()

    // Made, used and closed by the worker alone.
    private val recognizer = lazy { Recognizer(this) }

    private val ask = registerForActivityResult(
        ActivityResultContracts.RequestPermission(),
    ) { allowed ->
        if (allowed) start() else view.say(getString(R.string.no_camera))
    }

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        window.addFlags(WindowManager.LayoutParams.FLAG_KEEP_SCREEN_ON)
        preview = PreviewView(this).apply {
            scaleType = PreviewView.ScaleType.FIT_CENTER
        }
        view = SeenView(this)
        setContentView(
            FrameLayout(this).apply {
                addView(preview)
                addView(view)
            },
        )
        val allowed = checkSelfPermission(Manifest.permission.CAMERA)
        if (allowed == PackageManager.PERMISSION_GRANTED) start()
        else ask.launch(Manifest.permission.CAMERA)
    }

    private fun start() {
        val controller = LifecycleCameraController(this)
        controller.cameraSelector = CameraSelector.DEFAULT_FRONT_CAMERA
        controller.setEnabledUseCases(CameraController.IMAGE_ANALYSIS)
        // Frames that come while one is looked at are dropped.
        controller.setImageAnalysisAnalyzer(worker, ::look)
        controller.bindToLifecycle(this)
        preview.controller = controller
    }

    private fun look(frame: ImageProxy) {
        val picture = frame.use { upright(it) }
        val seen = recognizer.value.of(picture)
        val labels = recognizer.value.labels
        view.post {
            view.show(seen, labels, picture.width, picture.height, true)
        }
    }

    /** Sensors lie on their side; models of faces know upright ones. */
    private fun upright(frame: ImageProxy): Bitmap {
        val picture = frame.toBitmap()
        val turn = Matrix().apply {
            postRotate(frame.imageInfo.rotationDegrees.toFloat())
        }
        return Bitmap.createBitmap(
            picture, 0, 0, picture.width, picture.height, turn, true,
        )
    }

    override fun onDestroy() {
        super.onDestroy()
        worker.execute { if (recognizer.isInitialized()) recognizer.value.close() }
        worker.shutdown()
    }
}
