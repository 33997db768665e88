package report_test

import (
	"fmt"
	"net/http"

	"github.com/merlonhq/merlon/report"
	"github.com/merlonhq/merlon/route"
)

func Example() {
	collector, err := report.New(report.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	mux.Handle("POST /reports", collector)
	routes, err := route.New([]route.Route{
		{Pattern: "POST /reports", Public: true, Anonymous: true,
			MaxBody: report.MaxBody, ContentTypes: report.ContentTypes()},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(len(routes.Routes()), report.ContentTypes())
	// Output:
	// 1 [application/reports+json application/csp-report]
}
