// From version 9 on this plugin brings Kotlin along.
plugins {
    id("com.android.application") version "9.2.0" apply false
}
