package config

import (
	"slices"
	"strings"

	"github.com/merlonhq/merlon"
)

// checkShadowControl is the form of an entry of insecure_shadow.controls.
func checkShadowControl(v string) *fault {
	names := merlon.ShadowControls()
	if slices.Contains(names, v) {
		return nil
	}
	return &fault{idShadowControl, "is no control that can be in shadow", didYouMean(v, names, "write some of "+strings.Join(names, ", "))}
}

// checkShadow is about the reason, which whoever relaxes something gives.
func (l *loader) checkShadow(s *Settings) {
	if !l.fine("insecure_shadow.controls", "insecure_shadow.reason") {
		return
	}
	switch n, reason := len(s.InsecureShadow.Controls), strings.TrimSpace(s.InsecureShadow.Reason) != ""; {
	case n > 0 && !reason:
		l.report(l.where("insecure_shadow.controls"), fault{idShadowReason, "insecure_shadow: controls are in shadow without a reason",
			"write insecure_shadow.reason, which is logged at start"})
	case n == 0 && reason:
		l.report(l.where("insecure_shadow.reason"), fault{idShadowNothing, "insecure_shadow: there is a reason, and no control is in shadow",
			"write insecure_shadow.controls, or remove the reason"})
	}
}
