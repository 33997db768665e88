package browser_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
)

// evaluateInFrame is evaluate in the one frame of the page that has an origin, and
// so a process, of its own.
func evaluateInFrame[T any](t *testing.T, ctx context.Context, expression string) T {
	t.Helper()
	targets, err := chromedp.Targets(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var frames []*target.Info
	for _, info := range targets {
		if info.Type == "iframe" && !strings.HasPrefix(info.URL, "chrome") {
			frames = append(frames, info)
		}
	}
	if len(frames) != 1 {
		text, _ := json.Marshal(targets) // for the message
		t.Fatalf("%d frames with a process of their own, want 1: %s", len(frames), text)
	}
	frame, cancel := chromedp.NewContext(ctx, chromedp.WithTargetID(frames[0].TargetID))
	t.Cleanup(cancel)
	return evaluate[T](t, frame, expression)
}
