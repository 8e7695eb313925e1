// One call of Cliq's custom email API with `java.net.http`, whose first call offers HTTP/2: the
// status to stderr, the body to stdout.
// CLIQ_ORIGIN, CLIQ_TOKEN, METHOD, and BODY (may be empty) come from the environment.

import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;
import java.util.Map;

public class CliqCall {
    public static void main(String[] arguments) throws Exception {
        Map<String, String> given = System.getenv();
        String body = given.getOrDefault("BODY", "");
        var content = body.isEmpty() ? BodyPublishers.noBody() : BodyPublishers.ofString(body);
        var request = HttpRequest.newBuilder()
            .uri(URI.create(given.get("CLIQ_ORIGIN") + "/api/v2/mailconfigurations/global"))
            .method(given.get("METHOD"), content)
            .header("Authorization", "Bearer " + given.get("CLIQ_TOKEN"))
            .header("content-type", "application/json")
            .build();
        var answer = HttpClient.newHttpClient().send(request, BodyHandlers.ofString());
        System.err.print(answer.statusCode());
        System.out.print(answer.body());
    }
}
