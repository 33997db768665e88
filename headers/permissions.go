package headers

import (
	"fmt"
	"slices"
	"strings"
)

// A Feature is something of the browser that a page must be allowed to use
// (Permissions Policy section 4.2).
type Feature string

// The features that the web profile denies unless [Page.Allow] names them: the
// list of the OWASP Secure Headers Project.
const (
	Accelerometer           Feature = "accelerometer"
	Autoplay                Feature = "autoplay"
	Camera                  Feature = "camera"
	ClipboardRead           Feature = "clipboard-read"
	ClipboardWrite          Feature = "clipboard-write"
	CrossOriginIsolated     Feature = "cross-origin-isolated"
	DisplayCapture          Feature = "display-capture"
	EncryptedMedia          Feature = "encrypted-media"
	Fullscreen              Feature = "fullscreen"
	Gamepad                 Feature = "gamepad"
	Geolocation             Feature = "geolocation"
	Gyroscope               Feature = "gyroscope"
	HID                     Feature = "hid"
	IdleDetection           Feature = "idle-detection"
	InterestCohort          Feature = "interest-cohort"
	KeyboardMap             Feature = "keyboard-map"
	Magnetometer            Feature = "magnetometer"
	Microphone              Feature = "microphone"
	MIDI                    Feature = "midi"
	Payment                 Feature = "payment"
	PictureInPicture        Feature = "picture-in-picture"
	PublicKeyCredentialsGet Feature = "publickey-credentials-get" // using a passkey
	ScreenWakeLock          Feature = "screen-wake-lock"
	Serial                  Feature = "serial"
	SyncXHR                 Feature = "sync-xhr"
	Unload                  Feature = "unload"
	USB                     Feature = "usb"
	WebShare                Feature = "web-share"
	XRSpatialTracking       Feature = "xr-spatial-tracking"
)

func features() []Feature {
	return []Feature{
		Accelerometer, Autoplay, Camera, ClipboardRead, ClipboardWrite, CrossOriginIsolated, DisplayCapture, EncryptedMedia,
		Fullscreen, Gamepad, Geolocation, Gyroscope, HID, IdleDetection, InterestCohort, KeyboardMap, Magnetometer,
		Microphone, MIDI, Payment, PictureInPicture, PublicKeyCredentialsGet, ScreenWakeLock, Serial, SyncXHR, Unload, USB,
		WebShare, XRSpatialTracking,
	}
}

// permissions returns the value of Permissions-Policy. What is allowed is allowed to
// the page's own origin, and never to what it frames.
func permissions(allow []Feature) (string, []error) {
	var errs []error
	known := features()
	for _, f := range allow {
		if !slices.Contains(known, f) {
			errs = append(errs, fmt.Errorf("%s %q: want one of the features that package headers names", "Allow", f))
		}
	}
	members := make([]string, len(known))
	for i, f := range known {
		members[i] = string(f) + "=()"
		if slices.Contains(allow, f) {
			members[i] = string(f) + "=(self)"
		}
	}
	return strings.Join(members, ", "), errs
}
