plugins {
    id("com.android.application")
}

// The folder of an export; another one with -Pexport=/path/to/it.
val exported = providers.gradleProperty("export")
    .orElse("../../../kerafer/shipped/kerafer_edge_ferplus")

val copyModel by tasks.registering(Copy::class) {
    from(exported) { include("int8.tflite", "manifest.json") }
    into(layout.buildDirectory.dir("model"))
}

android {
    namespace = "io.github.kerafer.expressions"
    compileSdk = 36

    defaultConfig {
        applicationId = "io.github.kerafer.expressions"
        // What LiteRT 2, CameraX and ML Kit want.
        minSdk = 23
        targetSdk = 36
        versionCode = 1
        versionName = "1.0"
        testInstrumentationRunner = "androidx.test.runner.AndroidJUnitRunner"
    }

    // The model is mapped into memory, so it must not be compressed.
    androidResources { noCompress += "tflite" }

    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_17
        targetCompatibility = JavaVersion.VERSION_17
    }

    sourceSets.getByName("main").assets.srcDir(layout.buildDirectory.dir("model"))
}

tasks.named("preBuild") { dependsOn(copyModel) }

dependencies {
    implementation("androidx.activity:activity-ktx:1.12.0")
    implementation("androidx.camera:camera-camera2:1.6.2")
    implementation("androidx.camera:camera-lifecycle:1.6.2")
    implementation("androidx.camera:camera-view:1.6.2")
    implementation("com.google.ai.edge.litert:litert:2.3.2")
    // Brings its own model of faces, 7 MB.
    implementation("com.google.mlkit:face-detection:16.1.7")

    androidTestImplementation("androidx.test.ext:junit:1.3.0")
    androidTestImplementation("androidx.test:runner:1.7.0")
}
