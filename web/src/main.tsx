// Starts the page.
import { render } from "preact";
import { start } from "./state/app.ts";
import { startCounting } from "./state/count.ts";
import { followTheme } from "./state/settings.ts";
import { App } from "./ui/app.tsx";
import "./styles/base.css";
import "./styles/page.css";
import "./styles/answer.css";
import "./styles/composer.css";
import "./styles/viewer.css";
import "./styles/dialogs.css";

followTheme();
startCounting();
void start();
const root = document.getElementById("app");
if (root) render(<App />, root);
