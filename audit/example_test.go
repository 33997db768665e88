package audit_test

import (
	"fmt"
	"log/slog"

	"github.com/merlonhq/merlon/audit"
)

// An application declares what it records once, and records it with the request:
// merlon.Record(ctx, paid.Event("", slog.String("invoice", id))).
func ExampleNewKind() {
	paid, err := audit.NewKind(audit.KindConfig{
		Type: "invoice_paid", Category: audit.Account, Severity: audit.Info, Outcome: audit.Success,
		Description: "An invoice was paid.",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	e := paid.Event("usr_1", slog.String("invoice", "inv_7"))
	fmt.Println(e.Type, e.Category, e.Principal, e.Detail[0])
	// Output: invoice_paid account usr_1 invoice=inv_7
}
