// One call of Cliq's custom email API with HttpClient: the status to stderr, the body to stdout.
// CLIQ_ORIGIN, CLIQ_TOKEN, METHOD, and BODY (may be empty) come from the environment.
using System;
using System.Net.Http;
using System.Text;
using System.Threading.Tasks;

public static class CliqCall
{
    public static void Main()
    {
        Call().GetAwaiter().GetResult();
    }

    private static async Task Call()
    {
        using (var client = new HttpClient())
        using (var request = new HttpRequestMessage(new HttpMethod(Given("METHOD")), Address()))
        {
            request.Headers.Add("Authorization", "Bearer " + Given("CLIQ_TOKEN"));
            if (Given("BODY").Length > 0)
            {
                request.Content = new StringContent(Given("BODY"), Encoding.UTF8, "application/json");
            }
            using (var answer = await client.SendAsync(request))
            {
                Console.Error.Write((int)answer.StatusCode);
                Console.Write(await answer.Content.ReadAsStringAsync());
            }
        }
    }

    private static string Address()
    {
        return Given("CLIQ_ORIGIN") + "/api/v2/mailconfigurations/global";
    }

    private static string Given(string name)
    {
        return Environment.GetEnvironmentVariable(name) ?? "";
    }
}
