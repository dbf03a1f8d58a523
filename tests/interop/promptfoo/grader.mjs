// Stands for the model that grades: it agrees with everything and says what it was asked, in Base64.
export default class Grader {
  id() {
    return "grader";
  }

  async callApi(prompt) {
    return { output: JSON.stringify({ category: "C", reason: Buffer.from(prompt).toString("base64") }) };
  }
}
