"""The commands as functions; ``tinycompile`` names them again."""

from tinycompile.api.build import Built, Options, build
from tinycompile.api.compile import Compiled, compile_graph, import_model
from tinycompile.api.estimate import Estimate, estimate
from tinycompile.api.evaluate import Evaluation, Score, evaluate
from tinycompile.api.folder import Folder, open_folder
from tinycompile.api.inspect import Inspection, Need, inspect
from tinycompile.api.run import Answer, run
from tinycompile.api.trade_offs import StageFacts, TradeOff, TradeOffs, trade_offs

__all__ = [
    "Answer", "Built", "Compiled", "Estimate", "Evaluation", "Folder", "Inspection", "Need", "Options", "Score",
    "StageFacts", "TradeOff", "TradeOffs", "build", "compile_graph", "estimate", "evaluate", "import_model", "inspect",
    "open_folder", "run", "trade_offs",
]  # fmt: skip
