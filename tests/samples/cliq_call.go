// One call of Cliq's custom email API with net/http: the status to stderr, the body to stdout.
// CLIQ_ORIGIN, CLIQ_TOKEN, METHOD, and BODY (may be empty) come from the environment.
package main

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strings"
)

func main() {
	url := os.Getenv("CLIQ_ORIGIN") + "/api/v2/mailconfigurations/global"
	request, err := http.NewRequest(os.Getenv("METHOD"), url, strings.NewReader(os.Getenv("BODY")))
	if err != nil {
		log.Fatal(err)
	}
	request.Header.Add("Authorization", "Bearer "+os.Getenv("CLIQ_TOKEN"))
	request.Header.Add("content-type", "application/json")

	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		log.Fatal(err)
	}
	defer answer.Body.Close()
	fmt.Fprint(os.Stderr, answer.StatusCode)
	if _, err := io.Copy(os.Stdout, answer.Body); err != nil {
		log.Fatal(err)
	}
}
